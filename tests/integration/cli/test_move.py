"""`aqueue move`, and the order in which runs are shown to start."""

from pathlib import Path

import pytest

from aqueue import Client
from aqueue.cli.command_line import run

Printed = pytest.CaptureFixture[str]


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AQUEUE_DIR", raising=False)
    return Client.create("queue", warn=lambda _: None)


def order(queue: Client) -> list[int]:
    return [one.id for one in sorted(queue.runs(), key=lambda one: one.turn)]


def test_runs_and_groups_are_moved(queue: Client, capsys: Printed) -> None:
    queue.add("true")
    queue.enqueue({"name": "s", "command": "true"}, new={"n": [1, 2]})
    queue.add("true", name="last")
    assert run(["move", "--group", "s", "--first"]) == 0
    assert capsys.readouterr().out == "moved runs 2 s-1, 3 s-2\n"
    assert order(queue) == [2, 3, 1, 4]
    assert run(["move", "4", "3", "--before", "2"]) == 0
    assert order(queue) == [4, 3, 2, 1]
    assert run(["move", "--group", "s", "--after", "1"]) == 0
    assert order(queue) == [4, 1, 3, 2]
    assert run(["move", "last", "--last"]) == 0
    assert order(queue) == [1, 3, 2, 4]


@pytest.mark.parametrize("words", [[], ["--first", "--last"], ["--before", "1", "--first"]])
def test_one_place_is_needed(queue: Client, capsys: Printed, words: list[str]) -> None:
    queue.add("true")
    assert run(["move", "1", *words]) == 2
    assert "one place to move to is needed\ngive --first, --last, --before RUN" in capsys.readouterr().err


def test_nothing_is_moved_if_one_cannot_be(queue: Client, capsys: Printed) -> None:
    queue.add("true")
    queue.add("true")
    queue.cancel(1)
    assert run(["move", "2", "1", "--first"]) == 1
    assert "run 1 cannot be moved: it is aborted; nothing was changed" in capsys.readouterr().err
    assert order(queue) == [1, 2]
