"""The wall clock that tests set is the one that processes see."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.acceptance.wallclock import WallClock

NOON = datetime(2030, 5, 1, 12, tzinfo=UTC)
ASK = "import sys, time\nfor line in sys.stdin: print(time.time(), time.monotonic(), flush=True)"


@pytest.fixture
def clock(tmp_path: Path) -> WallClock:
    return WallClock(tmp_path / "clock")


def test_a_living_process_sees_each_jump_and_its_monotonic_clock_goes_on(clock: WallClock) -> None:
    environment = os.environ | clock.environment
    command = [sys.executable, "-c", ASK]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for jump in (0.0, 3600.0, -86400.25):
            clock.advance(jump)
            process.stdin.write("\n")
            process.stdin.flush()
            seconds, monotonic = map(float, process.stdout.readline().split())
            assert abs(seconds - clock.now()) < 1.0
            assert abs(monotonic - time.monotonic()) < 1.0
        process.stdin.close()


def test_what_a_process_starts_sees_it_too(clock: WallClock) -> None:
    clock.set(NOON)
    date = ["sh", "-c", "(date -u +%Y-%m-%dT%H:%M)"]
    said = subprocess.run(date, env=os.environ | clock.environment, capture_output=True, text=True, check=True)
    assert said.stdout == "2030-05-01T12:00\n"
