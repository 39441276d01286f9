"""Commands are instant: they import no more than they need."""

import subprocess
import sys

import pytest

HEAVY = {"anyio", "asyncio", "cronsim", "matplotlib", "pynvml", "rich.console", "watchfiles", "yaml", "zoneinfo"}


def imported(module: str) -> set[str]:
    code = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_help_needs_little_of_aqueue_itself() -> None:
    ours = {name for name in imported("aqueue.cli") if name.startswith("aqueue.")}
    assert ours == {"aqueue.cli", "aqueue.cli.output", "aqueue.errors", "aqueue.visible"}


@pytest.mark.parametrize("module", ["aqueue.cli.submit", "aqueue.cli.runs", "aqueue.client.submit"])
def test_what_a_verb_seldom_needs_is_imported_when_it_does(module: str) -> None:
    assert not imported(module) & HEAVY
