"""Two attempts of a run are never there at the same time, by whatever way the servers reach the folder."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.driving import Place
from tests.acceptance.mounting import bind_mount
from tests.waiting import eventually

QUICK = "grace: 0.5s\nheartbeat: {interval: 0.1s, stale_after: 0.5s}\n"


@pytest.fixture
def again(tmp_path_factory: pytest.TempPathFactory, place: Place) -> Iterator[str]:
    """The place's folder, over a bind mount."""
    target = tmp_path_factory.mktemp("again") / "mounted"
    with bind_mount(place.base, target) as is_mounted:
        if not is_mounted:
            pytest.skip("this user cannot mount anything here")
        yield str(target / "queue")


def alone(place: Place) -> str:
    """A piece of shell that writes down that it runs, and whether another does."""
    return f"cd {place.base}; exec 7>alone; flock -n 7 || echo overlap >>ledger; echo begun >>ledger"


def test_a_run_whose_server_was_killed_is_adopted_over_a_bind_mount(place: Place, again: str) -> None:
    server = place.serve()
    place.task("long", f"{alone(place)}; {place.until('go')}; exit 3")
    eventually(lambda: place.lines("ledger") == ["begun"])
    server.kill()
    place.serve(again).says("adopted")
    assert place.rows()["long"]["attempt"] == 1
    place.path("go").touch()
    row = place.becomes("long", "failed")
    assert (row["exit_code"], row["attempt"]) == (3, 1)
    assert place.lines("ledger") == ["begun"]


def test_a_run_whose_server_sleeps_is_taken_over_across_a_bind_mount(place: Place, again: str) -> None:
    place.init()
    place.drop("aqueue.yaml", QUICK)
    sleeper = place.serve()
    place.task("long", f"{alone(place)}; {place.until('go')}; exit 3")
    eventually(lambda: place.lines("ledger") == ["begun"])
    sleeper.signal(signal.SIGSTOP)
    try:
        place.serve(again).says("adopted")
        place.path("go").touch()
        row = place.becomes("long", "failed")
    finally:
        sleeper.signal(signal.SIGCONT)
    assert (row["exit_code"], row["attempt"]) == (3, 1)
    # A round of the one that slept.
    place.task("after", "true")
    place.becomes("after", "succeeded")
    assert place.lines("ledger") == ["begun"]


CLOSE = "import os, sys; os.closerange(3, 4096); os.execv(sys.argv[1], sys.argv[1:])"


@pytest.mark.parametrize("before", [[], [sys.executable, "-I", "-c", CLOSE]], ids=["with its lock", "without"])
def test_a_command_without_environment_and_wrapper_is_ended_before_it_is_run_again(
    place: Place, before: list[str]
) -> None:
    place.init()
    place.drop("aqueue.yaml", QUICK)
    server = place.serve()
    script = f"{alone(place)}; {place.until('go')}; exit 3"
    place.drop("long.yaml", f"command: {json.dumps(['env', '-i', *before, '/bin/sh', '-c', script])}\n")
    eventually(lambda: place.lines("ledger") == ["begun"])
    fence = Path(place.rows()["long"]["log"]).with_suffix(".pid")
    server.kill()
    os.kill(int(fence.read_text()), signal.SIGKILL)
    place.serve()
    eventually(lambda: place.lines("ledger") == ["begun", "begun"])
    place.path("go").touch()
    row = place.becomes("long", "failed")
    assert (row["exit_code"], row["attempt"]) == (3, 2)
    assert "overlap" not in place.lines("ledger")
