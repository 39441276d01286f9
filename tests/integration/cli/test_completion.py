"""The values that a shell offers for params, columns, tags and runs."""

from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from aqueue.cli.command_line import cli
from aqueue.folder.layout import Folder
from aqueue.model.run import State
from aqueue.store.database import connect
from tests.integration.recording import Book


class _Shell(ShellComplete):
    """A shell that has the words of a command line already."""

    name = "none"


@pytest.fixture
def book(folder: Folder) -> Book:
    return Book(connect(folder))


def offered(folder: Folder, *words: str) -> list[str]:
    *before, incomplete = words
    shell = _Shell(cli, {}, "aqueue", "_AQUEUE_COMPLETE")
    found = shell.get_completions(["--dir", str(folder.path), *before], incomplete)
    return [item.value if item.type == "plain" else item.type for item in found]


def test_params_of_the_files_are_offered_after_the_dashes(folder: Folder, tmp_path: Path) -> None:
    file = tmp_path / "t.yaml"
    file.write_text("command: echo\nparams: {lr: 0.1, layers: 2}\nmatrix: {seed: [1, 2]}\n")
    words = ("enqueue", str(file), "--")
    assert offered(folder, *words, "") == ["lr=0.1", "layers=2", "seed="]
    assert offered(folder, *words, "lr=0.2", "l") == ["layers=2"]
    assert offered(folder, "enqueue", str(file), "l") == ["file"]
    file.write_text("comand: x\n")
    assert offered(folder, *words, "") == []


def test_params_of_a_run_are_offered_where_they_are_edited(folder: Folder, book: Book) -> None:
    run = book.add(params={"lr": 0.1, "depth": 3})
    assert offered(folder, "edit", str(run.id), "--param", "d") == ["depth=3"]
    assert offered(folder, "edit", "--param", "") == []


@pytest.mark.parametrize("words", [("ls", "--sort"), ("ls", "--columns"), ("compare", "-x"), ("compare", "--by")])
def test_columns_are_facts_and_what_the_runs_have(folder: Folder, book: Book, words: tuple[str, ...]) -> None:
    book.add(params={"lr": 0.1})
    assert offered(folder, *words, "l") == ["lr"]
    assert {"id", "name", "created_at", "lr"} <= set(offered(folder, *words, ""))


def test_columns_are_offered_one_after_the_other(folder: Folder, book: Book) -> None:
    book.add(params={"lr": 0.1})
    assert offered(folder, "ls", "--columns", "id,lr,l") == []
    assert offered(folder, "ls", "--columns", "id,l") == ["id,lr"]


def test_tags_are_offered_and_so_is_a_key_with_several_values(folder: Folder, book: Book) -> None:
    for tags in (("team=a", "x"), ("team=b",), ("only=1",)):
        book.add(tags=tags)
    assert offered(folder, "cancel", "--tag", "") == ["only=1", "team", "team=a", "team=b", "x"]


def test_each_run_that_fits_is_offered_once(folder: Folder, book: Book) -> None:
    one, held, over = book.add("one"), book.in_state(State.HELD, "two"), book.in_state(State.ABORTED, "three")
    assert offered(folder, "cancel", "") == [str(held.id), str(one.id)]
    assert offered(folder, "cancel", "t") == ["two"]
    assert offered(folder, "cancel", str(one.id), "") == [str(held.id)]
    assert offered(folder, "cancel", "two", "") == [str(one.id)]
    assert offered(folder, "retry", "") == offered(folder, "prune", "") == [str(over.id)]
    assert offered(folder, "release", "") == [str(held.id)]


def test_nothing_is_offered_where_there_is_no_folder(tmp_path: Path) -> None:
    for word in ("--sort", "--columns", "--tag", "--group"):
        assert offered(Folder(tmp_path / "nowhere"), "ls", word, "") == []
