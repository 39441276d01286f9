"""`aqueue edit` and `aqueue retry --edit`, with editors that are small programs."""

import stat
import sys
import tempfile
from pathlib import Path

import pytest

from aqueue import Client, State
from aqueue.cli.command_line import run
from aqueue.folder.layout import Folder
from aqueue.store import database
from tests.integration.recording import Book

Printed = pytest.CaptureFixture[str]


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AQUEUE_DIR", raising=False)
    monkeypatch.delenv("VISUAL", raising=False)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return Client.create("queue", warn=lambda _: None)


def use_editor(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Set an editor that changes `text`."""
    editor = Path("editor.py")
    program = f"import sys, pathlib\nfile = pathlib.Path(sys.argv[1])\ntext = file.read_text()\n{body}\n"
    editor.write_text(f"{program}file.write_text(text)\n")
    monkeypatch.setenv("EDITOR", f"{sys.executable} {editor.absolute()}")


def left() -> list[str]:
    """Return the texts that are kept."""
    return [path.read_text() for path in Path("temporary").rglob("*.yaml")]


def test_options_change_runs_and_say_what(queue: Client, capsys: Printed) -> None:
    for number in (1, 2):
        queue.add("echo $lr", name=f"t{number}", params={"lr": 0.1}, env={"TOKEN": "old-secret"})
    words = "--priority high --param lr=.2 --timeout 2h --gpus 1 --env TOKEN=new-secret --after t1 --tags a,b"
    assert run(["edit", "2", "-u", "lane", *words.split()]) == 0
    assert capsys.readouterr().out == (
        "edited run 2 t2: queue: t2 → lane; priority: low → high; lr: 0.1 → .2; env TOKEN; timeout: none → 2h;"
        " tags: none → a, b; gpus: none → 1; after: none → t1\n"
    )
    edited = queue.run(2)
    assert (edited.queue, edited.task.timeout, edited.task.env["TOKEN"]) == ("lane", 7200, "new-secret")
    assert queue.describe(2)["after"] == [1]
    assert run(["edit", "--all", "--no-after", "--timeout", "2h"]) == 0
    assert capsys.readouterr().out == ("edited run 1 t1: timeout: none → 2h\nedited run 2 t2: after: 1 → none\n")
    assert run(["edit", "1", "--timeout", "2h"]) == 0
    assert capsys.readouterr().out == "run 1 t1 is so already\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--param lrr=3", "run 1 has no param lrr\ndid you mean lr? To add it anyway: --new lrr=3"),
        ("--new lr=3", "--new lr: run 1 has this param already"),
        ("--param lr=[1,2]", "lr has several values, but a run has one"),
        ("--param lr", "--param lr: expected K=V"),
        ("-n x --all", "--name: 2 runs would have the same name"),
        ("--gpus 1 --env CUDA_VISIBLE_DEVICES=1", "env.CUDA_VISIBLE_DEVICES and gpus exclude each other"),
        ("--no-after --after 2", "--no-after excludes --after and --after-any"),
        ("--after-any", "--after-any: there is no run to wait for"),
        ("--notify phone", "notify: aqueue.yaml has no targets"),
        ("--after 1", "run 1 cannot come after itself"),
    ],
)
def test_what_does_not_fit_changes_nothing(queue: Client, capsys: Printed, words: str, message: str) -> None:
    queue.add("echo $lr", params={"lr": 0.1})
    queue.add("true")
    before = [*queue.runs()]
    runs = [] if "--all" in words else ["1"]
    assert run(["edit", *runs, *words.split()]) != 0
    assert message in capsys.readouterr().err
    assert [*queue.runs()] == before


def test_of_several_runs_all_are_changed_or_none(queue: Client, folder_of: Book, capsys: Printed) -> None:
    queue.add("true")
    queue.add("true")
    folder_of.claim()
    assert run(["edit", "2", "1", "--priority", "high"]) == 1
    assert "run 1 cannot be edited: it has started; nothing was changed" in capsys.readouterr().err
    assert queue.run(2).priority.word == "low"
    assert run(["edit", "--all", "--priority", "high"]) == 0
    assert [one.priority.word for one in queue.runs()] == ["low", "high"]


@pytest.fixture
def folder_of(queue: Client) -> Book:
    return Book(database.connect(Folder(queue.path)))


def test_a_run_is_edited_as_a_text_that_only_its_user_can_read(
    queue: Client, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.enqueue({"name": "t", "command": "echo $lr", "params": {"lr": 0.1}, "hold": True})
    seen = "pathlib.Path('mode').write_text(oct(file.parent.stat().st_mode))"
    use_editor(monkeypatch, f"text = text.replace('lr: 0.1', 'lr: 0.50').replace('hold: true', '')\n{seen}")
    assert run(["edit", "t"]) == 0
    assert capsys.readouterr().out == "edited run 1 t: lr: 0.1 → 0.50; hold: true → none\n"
    assert (queue.run(1).state, queue.describe(1)["params_text"]) == (State.QUEUED, {"lr": "0.50"})
    assert stat.S_IMODE(int(Path("mode").read_text(), 8)) == 0o700
    assert left() == []


def test_an_unchanged_text_changes_nothing(
    queue: Client, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = queue.add("true")
    use_editor(monkeypatch, "")
    assert run(["edit", "1"]) == 0
    assert (capsys.readouterr().err, queue.run(1), left()) == ("nothing was changed\n", before, [])


def test_a_mistake_is_told_and_the_text_is_kept(
    queue: Client, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = queue.add("true")
    use_editor(monkeypatch, "text += 'timeot: 1h\\n'")
    assert run(["edit", "1"]) == 2
    printed = capsys.readouterr().err
    assert "unknown key 'timeot'\ndid you mean 'timeout'?\nnothing was changed; your text is in " in printed
    assert ("timeot: 1h" in left()[0], queue.run(1)) == (True, before)


def test_a_run_that_starts_or_changes_under_the_editor_is_refused(
    queue: Client, folder_of: Book, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.add("true")
    edit = (
        f"import subprocess\nsubprocess.run([{sys.executable!r}, '-m', 'aqueue', 'edit', '1', '--timeout', '9'])"
    )
    use_editor(monkeypatch, f"{edit}\ntext += 'priority: high\\n'")
    assert run(["edit", "1"]) == 1
    printed = capsys.readouterr().err
    assert "run 1 was changed while you edited it\nedit it again" in printed
    claim = "sqlite3.connect('queue/.aqueue/state.db').execute(\"UPDATE runs SET state = 'running'\")"
    use_editor(monkeypatch, f"import sqlite3\nwith {claim}.connection: pass\ntext += 'priority: high\\n'")
    assert run(["edit", "1"]) == 1
    assert "run 1 cannot be edited: it has started\n" in capsys.readouterr().err
    assert len(left()) == 2


def test_what_is_over_is_edited_and_retried_in_one(
    queue: Client, folder_of: Book, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.add("echo $lr", name="t", params={"lr": 0.1})
    folder_of.finish(folder_of.claim()[0], code=1)
    use_editor(monkeypatch, "text = text.replace('lr: 0.1', 'lr: 0.2')")
    assert run(["retry", "--edit", "1"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "retried run 1 t: lr: 0.1 → 0.2\n"
    assert "no server is running" in printed.err
    assert (queue.run(1).state, queue.run(1).task.params) == (State.QUEUED, {"lr": 0.2})
    assert run(["retry", "--edit", "1"]) == 1
    assert run(["retry", "--edit", "--failed"]) == 2


def test_an_editor_needs_a_terminal_or_a_name(
    queue: Client, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.add("true")
    monkeypatch.delenv("EDITOR", raising=False)
    assert run(["edit", "1"]) == 2
    assert "there is no terminal for an editor" in capsys.readouterr().err
    monkeypatch.setenv("EDITOR", "false")
    assert run(["edit", "1"]) == 1
    assert left() == []
