"""Good files, half-written, in pieces, by rename, in place, many at once: each is taken once."""

import os
import time
from pathlib import Path

import msgspec
import pytest

from aqueue.folder.layout import Folder
from tests.integration.accepting import tasks_of
from tests.integration.dropping import Taker
from tests.waiting import eventually

GOOD = "command: 'true'\n"


def drop(path: Path, text: str = GOOD) -> Path:
    path.write_text(text)
    return path


def test_a_good_file_is_taken_at_the_first_look(folder: Folder, taker: Taker) -> None:
    path = drop(folder.path / "train.yaml")
    taker.look()
    assert taker.names == ["train"]
    assert taker.inbox.next_check is None
    assert not path.exists()
    (file,) = taker.taken
    assert (folder.incoming / file.name).read_text() == GOOD
    assert file.source == "train.yaml"


def test_a_file_that_was_taken_is_not_taken_again(folder: Folder, taker: Taker) -> None:
    path = drop(folder.path / "train.yaml")
    taker.look()
    taker.look([path])
    taker.settle()
    assert taker.names == ["train"]
    assert taker.rejected == []


def test_the_same_name_can_be_dropped_again(folder: Folder, taker: Taker) -> None:
    for text in ("command: first", "command: second"):
        drop(folder.path / "x.yaml", text)
        taker.settle()
    assert taker.commands == ["first", "second"]
    assert len({file.name for file in taker.taken}) == 2


def test_both_suffixes_are_task_files(folder: Folder, taker: Taker) -> None:
    drop(folder.path / "a.yaml")
    drop(folder.path / "b.yml")
    taker.settle()
    assert sorted(taker.names) == ["a", "b"]


def test_each_document_of_a_file_is_a_task(folder: Folder, taker: Taker) -> None:
    drop(folder.path / "x.yaml", "command: one\n---\ncommand: two\nname: other\n")
    taker.settle()
    assert len(taker.taken) == 1
    assert taker.names == ["x", "other"]


def test_a_task_runs_in_the_folders_parent_unless_it_says_otherwise(folder: Folder, taker: Taker) -> None:
    drop(folder.path / "x.yaml", "command: a\n---\ncommand: b\nworking_dir: sub\n")
    taker.settle()
    (file,) = taker.taken
    assert [task.working_dir for task in tasks_of(file)] == [str(folder.parent), str(folder.parent / "sub")]


def test_a_file_that_is_open_for_writing_is_not_taken_until_it_is_closed(folder: Folder, taker: Taker) -> None:
    path = folder.path / "x.yaml"
    with path.open("w") as file:
        file.write("command: echo half")
        file.flush()
        for _ in range(30):
            time.sleep(0.01)  # Longer than a file that does not parse would be granted.
            taker.look()
        assert taker.taken == []
        assert taker.inbox.next_check is not None
        file.write(" done\n")
    taker.settle()
    assert taker.commands == ["echo half done"]


def test_a_file_that_stays_open_for_long_is_mentioned_once(folder: Folder, taker: Taker) -> None:
    with (folder.path / "x.yaml").open("w") as file:
        file.write(GOOD)
        file.flush()
        for _ in range(60):
            taker.look()
        (notice,) = taker.notices
        assert "x.yaml" in notice.text
    taker.settle()
    assert taker.names == ["x"]


def test_a_file_that_cannot_be_parsed_yet_is_not_rejected_while_it_is_written(
    folder: Folder, taker: Taker
) -> None:
    with (folder.path / "x.yaml").open("w") as file:
        for piece in ("command: [ec", "ho, hello", "]\n"):
            file.write(piece)
            file.flush()
            deadline = time.monotonic() + 0.2
            while time.monotonic() < deadline:
                taker.look()
        assert taker.rejected == []
    taker.settle()
    assert taker.commands == [("echo", "hello")]


def test_a_file_that_is_written_and_closed_piece_by_piece_is_taken_when_it_is_whole(
    folder: Folder, taker: Taker
) -> None:
    path = folder.path / "x.yaml"
    for piece in ("command: [echo", ", a", ", b]\n"):
        with path.open("a") as file:
            file.write(piece)
        taker.look()
    taker.settle()
    assert taker.commands == [("echo", "a", "b")]
    assert taker.rejected == []


def test_a_file_that_vim_saves_is_taken_once(folder: Folder, taker: Taker) -> None:
    outside, path = folder.path / ".x.yaml.swp", folder.path / "x.yaml"
    drop(outside, "b0VIM")
    taker.look()
    (folder.path / "4913").touch()
    taker.look()
    (folder.path / "4913").unlink()
    drop(path)
    taker.look()
    outside.unlink()
    taker.settle()
    assert taker.names == ["x"]


def test_a_file_that_emacs_saves_is_taken_once(folder: Folder, taker: Taker) -> None:
    (folder.path / ".#x.yaml").symlink_to("me@host.123:456")
    part = drop(folder.path / "#x.yaml#")
    taker.look()
    part.rename(folder.path / "x.yaml")
    (folder.path / ".#x.yaml").unlink()
    taker.settle()
    assert taker.names == ["x"]
    assert taker.rejected == []


def test_a_file_that_is_saved_in_place_is_taken_with_its_new_content(folder: Folder, taker: Taker) -> None:
    path = drop(folder.path / "x.yaml", "command: old\n")
    with path.open("r+") as file:
        file.truncate()
        taker.look()
        file.write("command: new\n")
    taker.settle()
    assert taker.commands == ["new"]


NO_TASK_FILES = (
    ".x.yaml.swp", ".x.yaml", "x.yaml~", "#x.yaml#", ".#x.yaml", "4913", "x.yaml.swp", "x.yaml.bak", "x.yaml.part",
    "x.json", "yaml", ".yaml", "x.yaml.error", "aqueue.yaml", "x.yaml.tmp.1234", ".goutputstream-AB12",
)  # fmt: skip


@pytest.mark.parametrize("name", NO_TASK_FILES)
def test_what_is_no_task_file_is_left_alone(folder: Folder, taker: Taker, name: str) -> None:
    path = drop(folder.path / name, "neither: a task\n")
    taker.look()
    taker.look([path])
    assert taker.inbox.next_check is None
    assert taker.taken == []
    assert taker.rejected == []
    assert path.exists()


def test_a_file_that_vanishes_between_hint_and_look_is_forgotten(folder: Folder, taker: Taker) -> None:
    path = drop(folder.path / "x.yaml")
    paths = taker.inbox.files_to_examine({str(path)})
    path.unlink()
    assert [taker.inbox.examine(path) for path in paths] == [None]
    taker.look([path])
    assert taker.inbox.next_check is None
    assert taker.rejected == []


def test_a_file_that_vanishes_before_its_second_look_is_forgotten(folder: Folder, taker: Taker) -> None:
    path = drop(folder.path / "x.yaml", "not: a task\n")
    taker.look()
    assert taker.inbox.next_check is not None
    path.unlink()
    taker.settle()
    assert taker.rejected == []


def test_a_thousand_files_at_once_are_each_taken_once_in_order_of_arrival(folder: Folder, taker: Taker) -> None:
    for number in range(1000):
        drop(folder.path / f"{number:04}.yaml")
    taker.settle()
    assert taker.names == [f"{number:04}" for number in range(1000)]
    assert list(taker.inbox.scan()) == []


def test_what_arrived_first_is_taken_first_whatever_it_is_called(folder: Folder, taker: Taker) -> None:
    first = drop(folder.path / "z.yaml")
    before = first.stat().st_ctime_ns
    eventually(lambda: drop(folder.parent / "tick").stat().st_ctime_ns > before)
    drop(folder.path / "a.yaml")
    taker.settle()
    assert taker.names == ["z", "a"]


def test_a_claimed_file_is_filed_with_its_runs(folder: Folder, taker: Taker) -> None:
    drop(folder.path / "x.yaml", "command: a\n---\ncommand: b\n")
    taker.settle()
    (file,) = taker.taken
    taker.file_away(file, [3, 4])
    assert os.listdir(folder.incoming) == []
    for run in (3, 4):
        assert (folder.run_dir(run) / "task.yaml").read_text() == "command: a\n---\ncommand: b\n"
    taker.file_away(file, [3, 4])


def test_the_configuration_is_read_anew_at_each_look(folder: Folder, taker: Taker) -> None:
    for seconds in (1.0, 2.0):
        taker.config = msgspec.structs.replace(taker.config, timeout=seconds)
        drop(folder.path / "x.yaml")
        taker.settle()
    assert [tasks_of(file)[0].timeout for file in taker.taken] == [1.0, 2.0]
