"""Bad files go to rejected/ with an .error that says what is wrong, and nothing keeps others from being taken."""

import os
import socket
import time
from collections.abc import Callable

import pytest

from aqueue.errors import BusyError
from aqueue.folder.layout import Folder
from tests.integration.accepting import tasks_of
from tests.integration.conftest import as_root, as_user
from tests.integration.dropping import Taker

GOOD = "command: 'true'\n"
MIB = 1 << 20
BAD = "comand: 'true'\n"


def error_of(folder: Folder, taker: Taker, name: str) -> str:
    """Return the error of a file dropped as `name`, once it is rejected; others are taken as ever."""
    (folder.path / "good.yaml").write_text(GOOD)
    taker.settle()
    assert taker.names == ["good"]
    (rejected,) = taker.rejected
    assert rejected.source == name
    assert rejected.moved_to == f"rejected/{name}"
    assert not os.path.lexists(folder.path / name)
    assert os.path.lexists(folder.rejected / name)
    error = (folder.rejected / f"{name}.error").read_text()
    assert rejected.error in error
    assert rejected.hint in error
    return error


def test_a_file_with_an_error_is_rejected_with_its_place_and_what_to_do(folder: Folder, taker: Taker) -> None:
    (folder.path / "x.yaml").write_text("\n" + BAD)
    error = error_of(folder, taker, "x.yaml")
    assert "x.yaml:2:1" in error
    assert "command" in error
    assert (folder.rejected / "x.yaml").read_text() == "\n" + BAD


def test_one_bad_document_rejects_the_whole_file(folder: Folder, taker: Taker) -> None:
    (folder.path / "x.yaml").write_text(f"{GOOD}---\n{BAD}")
    assert "x.yaml:3:1" in error_of(folder, taker, "x.yaml")


def test_all_mistakes_of_a_file_are_in_its_error_file_and_in_what_the_server_says(
    folder: Folder, taker: Taker
) -> None:
    (folder.path / "x.yaml").write_text(f"{BAD}timeout: soon\n" + "---\ncommand: x\nhold: 1\n" * 12)
    told = error_of(folder, taker, "x.yaml").splitlines()
    assert told[0] == "x.yaml:1:1: unknown key 'comand'"
    places = ["x.yaml:2:10:", *(f"x.yaml:{5 + 3 * number}:7:" for number in range(8)), "and"]
    assert [line.partition(" ")[0] for line in told[2:]] == places
    assert told[-1] == "and 4 more"
    assert list(taker.rejected[0].more) == told[2:]


def test_a_file_is_not_rejected_at_the_first_look(folder: Folder, taker: Taker) -> None:
    path = folder.path / "x.yaml"
    path.write_text(BAD)
    taker.look()
    assert taker.rejected == []
    assert path.exists()


def test_an_error_that_is_mended_before_the_second_look_is_never_mentioned(folder: Folder, taker: Taker) -> None:
    path = folder.path / "x.yaml"
    path.write_text(BAD)
    taker.look()
    path.write_text(GOOD)
    taker.settle()
    assert taker.names == ["x"]
    assert taker.rejected == []
    assert not folder.rejected.exists()


def test_a_fifo_is_rejected_without_waiting_for_a_writer(folder: Folder, taker: Taker) -> None:
    os.mkfifo(folder.path / "x.yaml")
    before = time.monotonic()
    assert "regular file" in error_of(folder, taker, "x.yaml")
    assert time.monotonic() - before < 10.0


def test_a_socket_is_rejected(folder: Folder, taker: Taker, monkeypatch: pytest.MonkeyPatch) -> None:
    # By a short path: that of a socket may not be long.
    monkeypatch.chdir(folder.path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("x.yaml")
        assert "regular file" in error_of(folder, taker, "x.yaml")


def test_a_directory_called_like_a_task_file_is_a_sub_folder(folder: Folder, taker: Taker) -> None:
    (folder.path / "x.yaml").mkdir()
    (folder.path / "x.yaml" / "in.yaml").write_text(GOOD)
    taker.settle()
    assert taker.names == ["in"]
    assert taker.rejected == []
    assert (folder.path / "x.yaml").is_dir()


@as_user
def test_a_file_that_cannot_be_read_is_rejected(folder: Folder, taker: Taker) -> None:
    path = folder.path / "x.yaml"
    path.write_text(GOOD)
    path.chmod(0o000)
    assert "permission denied" in error_of(folder, taker, "x.yaml")


@as_user
def test_a_file_that_becomes_readable_before_the_second_look_is_taken(folder: Folder, taker: Taker) -> None:
    path = folder.path / "x.yaml"
    path.write_text(GOOD)
    path.chmod(0o000)
    taker.look()
    path.chmod(0o600)
    taker.settle()
    assert taker.names == ["x"]


@as_root
def test_a_file_of_another_user_is_rejected(folder: Folder, taker: Taker) -> None:
    path = folder.path / "x.yaml"
    path.write_text(GOOD)
    os.chown(path, 12345, -1)
    assert "user 12345" in error_of(folder, taker, "x.yaml")


def test_a_file_that_is_too_large_is_rejected(folder: Folder, taker: Taker) -> None:
    (folder.path / "x.yaml").write_text(GOOD + "#" * MIB)
    assert "1 MiB" in error_of(folder, taker, "x.yaml")


def test_a_file_of_a_terabyte_is_rejected_without_reading_it(folder: Folder, taker: Taker) -> None:
    (folder.path / "x.yaml").touch()
    try:
        os.truncate(folder.path / "x.yaml", 1 << 40)
    except OSError as error:
        pytest.skip(f"no such file can be made here: {error.strerror}")
    assert "1 MiB" in error_of(folder, taker, "x.yaml")


def test_a_file_as_large_as_may_be_is_taken(folder: Folder, taker: Taker) -> None:
    (folder.path / "x.yaml").write_text(GOOD + "#" * (MIB - len(GOOD)))
    taker.settle()
    assert taker.names == ["x"]


def test_a_file_that_is_not_utf_8_is_rejected_with_the_place(folder: Folder, taker: Taker) -> None:
    (folder.path / "x.yaml").write_bytes(b"name: ok\ncommand: caf\xe9\n")
    assert "x.yaml:2:13: is not UTF-8" in error_of(folder, taker, "x.yaml")


def test_a_file_with_a_byte_order_mark_is_taken(folder: Folder, taker: Taker) -> None:
    (folder.path / "x.yaml").write_text("\ufeff" + GOOD)
    taker.settle()
    assert taker.names == ["x"]


def test_an_empty_file_is_rejected_in_the_end(folder: Folder, taker: Taker) -> None:
    (folder.path / "x.yaml").touch()
    assert "no task" in error_of(folder, taker, "x.yaml")


def test_an_empty_file_is_given_longer_to_be_filled(folder: Folder, taker: Taker) -> None:
    # `touch x.yaml`, then an editor or a script that takes its time.
    path = folder.path / "x.yaml"
    path.touch()
    deadline = time.monotonic() + 0.5
    while time.monotonic() < deadline:
        taker.look()
    assert taker.rejected == []
    path.write_text(GOOD)
    taker.settle()
    assert taker.names == ["x"]


def test_a_name_that_is_taken_in_rejected_is_not_overwritten(folder: Folder, taker: Taker) -> None:
    texts = [f"{BAD}# {number}\n" for number in range(3)]
    for text in texts:
        (folder.path / "x.yaml").write_text(text)
        taker.settle()
    names = ["x.yaml", "x-2.yaml", "x-3.yaml"]
    assert [rejected.moved_to for rejected in taker.rejected] == [f"rejected/{name}" for name in names]
    assert [(folder.rejected / name).read_text() for name in names] == texts
    assert all((folder.rejected / f"{name}.error").exists() for name in names)


def test_what_is_in_rejected_is_not_looked_at_again(folder: Folder, taker: Taker) -> None:
    folder.rejected.mkdir()
    (folder.rejected / "x.yaml").write_text(GOOD)
    taker.settle()
    assert taker.taken == []


def test_a_bad_file_that_cannot_be_moved_away_is_mentioned_once(folder: Folder, taker: Taker) -> None:
    folder.rejected.write_text("not a directory")
    (folder.path / "x.yaml").write_text(BAD)
    for _ in range(3):
        taker.settle()
    (notice,) = taker.notices
    assert "x.yaml" in notice.text and "moved" in notice.text
    assert (folder.path / "x.yaml").exists()


def test_a_bad_file_is_rejected_once_by_two_inboxes(folder: Folder, new_taker: Callable[[], Taker]) -> None:
    takers = [new_taker(), new_taker()]
    (folder.path / "x.yaml").write_text(BAD)
    for taker in takers:
        taker.look()
    for taker in takers:
        taker.settle()
    assert [len(taker.rejected) for taker in takers] == [1, 0]
    assert sorted(os.listdir(folder.rejected)) == ["x.yaml", "x.yaml.error"]


@pytest.mark.parametrize("depth", ["gpu", "team/gpu"])
def test_a_sub_folder_names_the_queue(folder: Folder, taker: Taker, depth: str) -> None:
    (folder.path / depth).mkdir(parents=True)
    (folder.path / depth / "x.yaml").write_text(GOOD)
    (folder.path / depth / "y.yaml").write_text(f"{GOOD}queue: other\n")
    (folder.path / "z.yaml").write_text(GOOD)
    taker.settle()
    queues = {task.name: task.queue for file in taker.taken for task in tasks_of(file)}
    assert queues == {"x": "gpu", "y": "other", "z": None}
    assert {file.source for file in taker.taken} == {f"{depth}/x.yaml", f"{depth}/y.yaml", "z.yaml"}


def test_a_sub_folder_whose_name_is_no_queue_is_an_error_of_its_files(folder: Folder, taker: Taker) -> None:
    (folder.path / "my gpu").mkdir()
    (folder.path / "my gpu" / "x.yaml").write_text(GOOD)
    error = error_of(folder, taker, "my gpu/x.yaml")
    assert "queue" in error and "my gpu" in error


def test_a_file_may_name_its_queue_where_its_sub_folder_cannot(folder: Folder, taker: Taker) -> None:
    (folder.path / "my gpu").mkdir()
    (folder.path / "my gpu" / "x.yaml").write_text(f"{GOOD}queue: gpu\n")
    taker.settle()
    assert [task.queue for file in taker.taken for task in tasks_of(file)] == ["gpu"]


def test_a_file_whose_name_is_none_for_a_task_must_name_it(folder: Folder, taker: Taker) -> None:
    (folder.path / "my task.yaml").write_text(GOOD)
    assert "name" in error_of(folder, taker, "my task.yaml")


def test_a_file_of_any_name_is_taken_when_it_names_its_task(folder: Folder, taker: Taker) -> None:
    (folder.path / "~my 'täsk'\n.yaml").write_text(f"{GOOD}name: mine\n")
    taker.settle()
    assert taker.names == ["mine"]


def test_an_error_shows_no_values_of_the_environment(folder: Folder, taker: Taker) -> None:
    (folder.path / "x.yaml").write_text(f"{GOOD}env: {{TOKEN: [hunter2]}}\n")
    assert "hunter2" not in error_of(folder, taker, "x.yaml")


def test_a_bad_file_waits_while_another_process_keeps_the_store_locked(folder: Folder) -> None:
    problems = [BusyError("it is locked", "see who has it open")]

    def has_schedules(file: str) -> bool:
        if problems:
            raise problems.pop()
        return False

    taker = Taker(folder, has_schedules)
    (folder.path / "x.yaml").write_text(BAD)
    assert "did you mean" in error_of(folder, taker, "x.yaml")
    assert [notice.text for notice in taker.notices] == ["x.yaml cannot be taken: it is locked"]


def test_a_sub_folder_whose_name_is_not_utf_8_is_passed_over_and_that_is_said_once(
    folder: Folder, taker: Taker
) -> None:
    odd = os.fsencode(folder.path) + b"/b\xe9"
    os.mkdir(odd)
    with open(odd + b"/x.yaml", "w") as file:
        file.write(GOOD)
    for _ in range(2):
        taker.look()
    assert [notice.text for notice in taker.notices] == [
        "b\\xe9/ has a name that is not UTF-8: no task file in it is taken; rename it"
    ]


@as_user
def test_a_sub_folder_that_cannot_be_read_is_passed_over_and_that_is_said_once(
    folder: Folder, taker: Taker
) -> None:
    (folder.path / "closed").mkdir(mode=0o000)
    for _ in range(2):
        taker.look()
    assert [notice.text for notice in taker.notices] == [
        "closed/ cannot be read: no task file in it is taken; make it readable: chmod u+rx"
    ]


def test_a_link_that_leads_nowhere_keeps_no_file_from_being_taken(folder: Folder, taker: Taker) -> None:
    for number in range(8):
        odd = os.fsencode(folder.path) + b"/\xe9%d" % number
        os.symlink(odd, odd)
        (folder.path / f"t{number}.yaml").write_text(GOOD)
    taker.settle()
    assert sorted(taker.names) == [f"t{number}" for number in range(8)]
    assert taker.notices == []
