"""Standard output and standard error on a full disk, or with nobody at the other end of the pipe."""

import fcntl
import json
import os
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from tests.acceptance.driving import AQUEUE, Place
from tests.waiting import eventually

FULL = Path("/dev/full")
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")

UNWRITTEN = "standard output cannot be written: No space left on device\n"


@pytest.fixture
def full() -> Iterator[IO[Any]]:
    with FULL.open("wb") as file:
        yield file


def ask(place: Place, *arguments: str, out: Any, err: Any = subprocess.PIPE) -> tuple[int, str]:
    done = subprocess.run(
        [*AQUEUE, *arguments],
        cwd=place.base,
        env=place.environment,
        stdout=out,
        stderr=err,
        text=True,
        check=False,
    )
    assert "Traceback" not in (done.stderr or "")
    assert "Exception ignored" not in (done.stderr or "")
    return done.returncode, done.stderr or ""


@pytest.fixture
def place_with_file(place: Place) -> Place:
    place.init()
    place.path("a.yaml").write_text("command: 'true'\n")
    place.add("true", "-u", "lane")
    return place


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "true"], "queued as 2, but"),
        (["enqueue", "a.yaml", "a.yaml"], "queued as 2, 3, but"),
        (["pause", "lane"], "queue lane is paused"),
        (["resume", "lane"], "queue lane was not paused, but"),
        (["dequeue", "lane"], " was removed from queue lane, but"),
        (["prune"], "0 runs deleted, but"),
        (["init", "other"], "other/ is ready"),
        (["stop"], "no server is running, but"),
    ],
)
def test_what_was_done_is_said_and_is_a_success_though_it_cannot_be_printed(
    place_with_file: Place, full: IO[Any], arguments: list[str], said: str
) -> None:
    code, err = ask(place_with_file, *arguments, out=full)
    assert code == 0
    assert said in err
    assert err.endswith(UNWRITTEN)


def test_a_run_that_is_queued_is_queued_once_whoever_reads_the_id(place_with_file: Place) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    code, err = ask(place_with_file, "add", "true", out=writer)
    os.close(writer)
    assert (code, err.splitlines()[-1]) == (0, "queued as 2, but standard output cannot be written: Broken pipe")
    assert len(place_with_file.ls()) == 2


@pytest.mark.parametrize("arguments", [["ls"], ["ls", "--json"], ["show", "1"], ["status"], ["check", "a.yaml"]])
def test_what_cannot_be_shown_is_an_error_of_standard_output(
    place_with_file: Place, full: IO[Any], arguments: list[str]
) -> None:
    assert ask(place_with_file, *arguments, out=full) == (1, f"error: {UNWRITTEN}")


def test_notes_that_cannot_be_written_undo_nothing(place_with_file: Place, full: IO[Any]) -> None:
    # That no server is running is said before the run is queued for good.
    done = subprocess.run(
        [*AQUEUE, "add", "true"],
        cwd=place_with_file.base,
        env=place_with_file.environment,
        stdout=subprocess.PIPE,
        stderr=full,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "2\n")
    assert ask(place_with_file, "add", "true", out=full, err=full)[0] == 0
    assert ask(place_with_file, "cancel", "1", out=full, err=full)[0] == 0
    assert [row["state"] for row in place_with_file.ls()] == ["aborted", "queued", "queued"]


def test_a_full_pipe_that_does_not_block_is_waited_for(place_with_file: Place) -> None:
    place_with_file.path("long.yaml").write_text(f"command: 'true'\ntags: [{'x' * 100}]\n")
    place_with_file.run("enqueue", *["long.yaml"] * 200)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = place_with_file.start("ls", "--json", stdout=writer)
    os.close(writer)
    # It has to meet a full pipe.
    eventually(lambda: waiting_in(reader) >= 1 << 16)
    with os.fdopen(reader, "rb") as pipe:
        assert len(json.loads(pipe.read())) == 201
    assert process.wait(10) == 0


def waiting_in(pipe: int) -> int:
    """Return how many bytes wait to be read from a pipe."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)
