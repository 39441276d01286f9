"""A server that may have few processes or few files: it waits and goes on, and every run ends as it should."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.driving import Place
from tests.limits import NOBODY, few_processes
from tests.waiting import eventually

FILES = 72


@pytest.fixture
def cramped(tmp_path: Path) -> Iterator[Place]:
    """A place whose servers may have a few dozen files open."""
    place = Place(tmp_path, prefix=["prlimit", f"--nofile=64:{FILES}"])
    try:
        yield place
    finally:
        place.close()


def test_no_more_is_started_than_there_are_files_for_and_all_of_it_ends_as_it_should(cramped: Place) -> None:
    number = FILES
    cramped.task("limit", "ulimit -n")
    lock = cramped.path("lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    for one in range(number):
        cramped.drop(f"t{one}.yaml", f"{{command: [flock, {lock.name}, 'true'], queue: q{one}}}")
    server = cramped.serve("-j", "200", "--drain")
    limit = cramped.becomes("limit", "succeeded")
    assert cramped.output(limit) == "64\n"
    last = cramped.rows()[f"t{number - 1}"]["id"]
    eventually(lambda: "limit on open files" in cramped.run("show", str(last)))
    running = len(cramped.ls("--running"))
    assert 5 < running < number
    lock.close()
    assert server.ends(60.0) == 0, server.text
    assert {row["state"] for row in cramped.ls()} == {"succeeded"}


@contextmanager
def lonely(processes: int) -> Iterator[Place]:
    """Make a place of a user who may have so many processes."""
    prefix = few_processes(processes)
    # Not in pytest's directory, which only its owner may enter.
    with tempfile.TemporaryDirectory() as name:
        place = Place(Path(name), prefix=prefix)
        place.init()
        try:
            yield place
        finally:
            place.close()


def hand_over(place: Place) -> None:
    """Make a place that of the user who may have few processes."""
    if os.geteuid() == 0:
        for path in (place.base, *place.base.rglob("*")):
            os.chown(path, NOBODY, -1)


@pytest.mark.parametrize("processes", [2, 3])
def test_a_server_that_cannot_have_its_threads_says_so_and_what_to_do(processes: int) -> None:
    with lonely(processes) as place:
        hand_over(place)
        said = place.ask("serve", "--drain")
        assert said.returncode == 1
        assert said.stderr.startswith("error: the server cannot start the threads it needs\n")
        assert "`ulimit -u`" in said.stderr


def test_a_command_that_cannot_have_a_process_says_so_and_what_to_do() -> None:
    with lonely(1) as place:
        hand_over(place)
        said = place.ask("start")
        assert said.returncode == 1
        assert said.stderr.startswith("error: no process can be started: ")
        assert "`ulimit -u`" in said.stderr


@pytest.mark.at_length
def test_a_user_with_few_processes_has_every_run_succeed_without_many_vain_attempts() -> None:
    number = 12
    with lonely(9) as place:
        for one in range(number):
            place.drop(f"t{one}.yaml", f"{{command: [sleep, '0.2'], queue: q{one}}}")
        hand_over(place)
        server = place.serve("-j", "20", "--drain")
        assert server.ends(30.0) == 0, server.text
        assert server.text.count("cannot have a process") == 1
        assert [row["state"] for row in place.ls()] == number * ["succeeded"]
        # All that were tried at first, and one at a time from then on.
        assert server.text.count(" started ") < 3 * number
        fences = [len(list(path.glob("*.pid"))) for path in (place.state / "runs").iterdir()]
        assert fences == number * [1]
