"""Points in time as people write them."""

from datetime import UTC, datetime, timedelta

import pytest

from aqueue.client.since import midnight, moment_of

NOW = datetime(2026, 11, 30, 9, 30, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("2d", "2026-11-28 09:30:15"), ("1h30m", "2026-11-30 08:00:15"), ("15", "2026-11-30 09:30:00"),
        ("today", "2026-11-30 00:00:00"), ("midnight", "2026-11-30 00:00:00"),
        ("yesterday", "2026-11-29 00:00:00"), ("2026-11-28", "2026-11-28 00:00:00"),
        ("2026-11-28 14:30", "2026-11-28 14:30:00"), ("2026-11-28T14:30:00+02:00", "2026-11-28 12:30:00"),
        ("8:05", "2026-11-30 08:05:00"), ("08:05:30", "2026-11-30 08:05:30"),
    ],
)  # fmt: skip
def test_a_moment_is_written_as_people_do(written: str, at: str) -> None:
    assert str(datetime.fromtimestamp(moment_of(written, NOW), UTC)) == f"{at}+00:00"


@pytest.mark.parametrize("written", ["", "soon", "2026-13-01", "25:00", "-1d", "1w"])
def test_what_is_no_moment_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=None):
        moment_of(written, NOW)


def test_local_times_follow_the_clocks_of_that_day() -> None:
    now = datetime(2026, 11, 30, 9)
    assert moment_of("2026-07-01", now) == datetime(2026, 7, 1).timestamp()
    assert moment_of(NOW - timedelta(hours=1), now) == NOW.timestamp() - 3600
    assert midnight(now) == datetime(2026, 11, 30).timestamp()
