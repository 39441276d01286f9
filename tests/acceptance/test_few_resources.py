"""A server that may have few processes or few files: it waits and goes on, and every run ends as it should."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
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
    eventually(lambda: "files open for" in cramped.run("show", str(last)))
    running = len(cramped.ls("--running"))
    assert 5 < running < number
    lock.close()
    assert server.ends(60.0) == 0, server.text
    assert {row["state"] for row in cramped.ls()} == {"succeeded"}


@pytest.fixture
def lonely() -> Iterator[Place]:
    """A place of a user who may have a handful of processes."""
    prefix = few_processes(9)
    # Not in pytest's directory, which only its owner may enter.
    with tempfile.TemporaryDirectory() as name:
        place = Place(Path(name), prefix=prefix)
        place.init()
        try:
            yield place
        finally:
            place.close()


@pytest.mark.at_length
def test_a_user_with_few_processes_has_every_run_succeed(lonely: Place) -> None:
    for one in range(3):
        lonely.drop(f"t{one}.yaml", f"{{command: [sleep, '0.2'], queue: q{one}}}")
    if os.geteuid() == 0:
        for path in (lonely.base, *lonely.base.rglob("*")):
            os.chown(path, NOBODY, -1)
    server = lonely.serve("-j", "20", "--drain")
    assert server.ends(60.0) == 0, server.text
    assert "cannot have a process" in server.text
    assert [row["state"] for row in lonely.ls()] == 3 * ["succeeded"]
