"""Several at work on the same files at once: each file is taken once, as it is when it is taken."""

import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from aqueue.folder.layout import Folder
from tests.integration.accepting import tasks_of
from tests.integration.dropping import Taker
from tests.waiting import eventually

NewTaker = Callable[[], Taker]


def drop(path: Path, text: str = "command: 'true'\n") -> Path:
    path.write_text(text)
    return path


def test_files_that_come_while_others_are_taken_are_taken_too(folder: Folder, taker: Taker) -> None:
    def produce() -> None:
        for number in range(300):
            part = drop(folder.path / f".{number}")
            part.rename(folder.path / f"{number}.yaml")

    producer = threading.Thread(target=produce)
    producer.start()

    def all_taken() -> bool:
        taker.look()
        return len(taker.taken) >= 300

    eventually(all_taken)
    producer.join()
    assert sorted(map(int, taker.names)) == list(range(300))


def test_two_inboxes_take_each_file_once_between_them(folder: Folder, new_taker: NewTaker) -> None:
    for number in range(200):
        drop(folder.path / f"{number}.yaml")
    takers = [new_taker(), new_taker()]
    start = threading.Barrier(2)

    def take(taker: Taker) -> None:
        start.wait()
        taker.settle()

    threads = [threading.Thread(target=take, args=(taker,)) for taker in takers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken = [file for taker in takers for file in taker.taken]
    assert sorted(int(tasks_of(file)[0].name) for file in taken) == list(range(200))
    assert sorted(file.name for file in taken) == sorted(os.listdir(folder.incoming))
    assert [taker.rejected for taker in takers] == [[], []]


def test_a_file_that_is_replaced_between_reading_and_claiming_is_taken_as_it_is_now(
    folder: Folder, new_taker: NewTaker
) -> None:
    path = drop(folder.path / "x.yaml", "command: old\n")
    taker = new_taker()
    taker.before_parsing(lambda: drop(folder.path / ".x", "command: new\n").rename(path))
    taker.settle()
    assert taker.commands == ["new"]
    (file,) = taker.taken
    assert os.listdir(folder.incoming) == [file.name]


def test_a_file_that_is_replaced_and_dropped_anew_is_not_lost(folder: Folder, new_taker: NewTaker) -> None:
    drop(folder.path / "x.yaml", "command: first\n")
    taker = new_taker()
    taker.before_parsing(lambda: (folder.path / "x.yaml").unlink())
    taker.settle()
    assert taker.taken == []
    drop(folder.path / "x.yaml", "command: second\n")
    taker.settle()
    assert taker.commands == ["second"]


@pytest.mark.skipif(not hasattr(fcntl, "F_SETLEASE"), reason="there are no leases on files here")
def test_nobody_can_write_to_a_file_between_reading_and_claiming(folder: Folder, new_taker: NewTaker) -> None:
    path = drop(folder.path / "x.yaml")
    taker = new_taker()
    refused: list[OSError] = []

    def write() -> None:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NONBLOCK))
        except OSError as error:
            refused.append(error)

    taker.before_parsing(write)
    taker.settle()
    assert taker.names == ["x"]
    assert len(refused) == 1
