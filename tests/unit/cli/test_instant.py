"""Commands are instant: they import no more than they need."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import aqueue
from aqueue.folder.layout import Folder
from aqueue.store.database import connect

HEAVY = {"anyio", "asyncio", "cronsim", "matplotlib", "pynvml", "rich.console", "watchfiles", "yaml", "zoneinfo"}

# What `aqueue add` does without: each takes as long to import as all else that it does takes.
SLOW = {"asyncio", "click", "enum", "inspect", "json", "msgspec", "pathlib", "re", "typing", "typing_extensions"}

# Without `site`, which may import anything.
PATHS = {"PYTHONPATH": os.pathsep.join([str(Path(aqueue.__file__).parent.parent), *filter(None, sys.path)])}


def imported(module: str) -> set[str]:
    code = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_help_needs_little_of_aqueue_itself() -> None:
    ours = {name for name in imported("aqueue.cli.command_line") if name.startswith("aqueue.")}
    assert ours == {
        "aqueue.cli",
        "aqueue.cli.command_line",
        "aqueue.cli.output",
        "aqueue.errors",
        "aqueue.loading",
        "aqueue.visible",
    }


@pytest.mark.parametrize(
    "module",
    [
        "aqueue.cli.submit",
        "aqueue.cli.runs",
        "aqueue.cli.listing",
        "aqueue.cli.status",
        "aqueue.cli.details",
        "aqueue.client.submit",
    ],
)
def test_what_a_verb_seldom_needs_is_imported_when_it_does(module: str) -> None:
    assert not imported(module) & HEAVY


def test_the_ordinary_add_imports_nothing_that_takes_long() -> None:
    own = {name for name in imported("aqueue.cli.quick_add") if name.split(".")[0] == "aqueue"}
    assert own == {
        "aqueue",
        "aqueue.cli",
        "aqueue.cli.output",
        "aqueue.cli.quick_add",
        "aqueue.client",
        "aqueue.client.command_task",
        "aqueue.client.quick_add",
        "aqueue.client.signs_of_life",
        "aqueue.clock",
        "aqueue.errors",
        "aqueue.folder",
        "aqueue.folder.config_content",
        "aqueue.folder.find",
        "aqueue.folder.layout",
        "aqueue.folder.no_links",
        "aqueue.folder.server_locks",
        "aqueue.folder.trust",
        "aqueue.formats",
        "aqueue.formats.config_for_add",
        "aqueue.model",
        "aqueue.model.basics",
        "aqueue.store",
        "aqueue.store.database",
        "aqueue.store.migrations",
        "aqueue.store.new_runs",
        "aqueue.store.presence",
        "aqueue.visible",
    }


def test_the_ordinary_add_runs_without_what_takes_long_to_import(tmp_path: Path) -> None:
    Folder(tmp_path / "queue").create()
    connect(Folder(tmp_path / "queue")).close()
    code = (
        "import sys; from aqueue.cli.quick_add import run;"
        f"assert run(['add', '--dir', {str(tmp_path / 'queue')!r}, 'true']) == 0; print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True, env=PATHS
    )
    assert not set(done.stdout.split()) & SLOW


@pytest.mark.parametrize("verb", [["ls"], ["status"], ["show", "1"]])
def test_what_is_asked_most_is_printed_without_rich(tmp_path: Path, verb: list[str]) -> None:
    Folder(tmp_path / "queue").create()
    given = [verb[0], "--dir", str(tmp_path / "queue"), *verb[1:]]
    code = (
        "import sys; from aqueue.cli import command_line;"
        f"command_line.run(['add', '--dir', {given[2]!r}, 'true']);"
        f"assert command_line.run({given!r}) == 0; print(*sys.modules, file=sys.stderr)"
    )
    # On a terminal, where a table is fitted.
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=theirs, stderr=subprocess.PIPE, text=True, check=True
    )
    os.close(theirs)
    with os.fdopen(ours, "rb") as terminal:
        assert b"true" in terminal.read1()
    modules = done.stderr.split()
    assert not {name.split(".")[0] for name in modules} & {"asyncio", "rich", "yaml"}
    assert sum(name.startswith("aqueue.") for name in modules) < 120
    assert len(modules) < 300
