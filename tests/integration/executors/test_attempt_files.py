"""When an attempt ended that nobody saw end, although the clock was set meanwhile."""

import math
import os
from pathlib import Path

import pytest

from aqueue.executors.attempt_files import ended_at

BEGAN = 1_800_000_000.0
HOUR = 3600.0


@pytest.mark.parametrize(
    ("set_by", "at", "now"),
    [
        (0.0, 0.0, 60.0),
        (5 * HOUR, 30.0, 60.0),
        (-5 * HOUR, 30.0, 60.0),
        (5 * HOUR, 1.0, 60.0),
        (-5 * HOUR, 1.0, 60.0),
        (0.5, 30.0, 60.0),
        (-0.5, 30.0, 60.0),
    ],
)
def test_a_run_of_two_seconds_took_two_seconds_whenever_the_clock_was_set(
    tmp_path: Path, set_by: float, at: float, now: float
) -> None:
    attempt = str(tmp_path / "attempt-1")
    written = BEGAN + 2.0 + (set_by if at < 2.0 else 0.0)
    for suffix, moment in ((".lock", BEGAN), (".pid", written)):
        Path(attempt + suffix).touch()
        os.utime(attempt + suffix, (moment, moment))
    began = BEGAN + set_by
    assert math.isclose(ended_at(attempt, began, began + now) - began, 2.0, abs_tol=max(1e-3, abs(set_by) % HOUR))


@pytest.mark.parametrize("written", [BEGAN - HOUR, BEGAN + HOUR])
def test_without_a_lock_no_run_ends_before_it_began_nor_later_than_now(tmp_path: Path, written: float) -> None:
    attempt = str(tmp_path / "attempt-1")
    Path(attempt + ".pid").touch()
    os.utime(attempt + ".pid", (written, written))
    assert BEGAN <= ended_at(attempt, BEGAN, BEGAN + 60.0) <= BEGAN + 60.0
