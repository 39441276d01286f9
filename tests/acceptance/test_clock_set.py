"""The wall clock is set by hours: delays, timeouts and what a run took are durations, and stay what they are."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.scheduling import ClockedPlace
from tests.waiting import eventually

pytestmark = pytest.mark.at_length

HOURS = 5 * 3600.0


@pytest.fixture
def place(tmp_path: Path) -> Iterator[ClockedPlace]:
    with closing(ClockedPlace(tmp_path)) as place:
        yield place


def took(place: ClockedPlace, name: str) -> str:
    """Return how long a run took, in seconds, from the CSV of `ls`."""
    header, *rows = (line.split(",") for line in place.run("ls", "--csv").splitlines())
    return next(row[header.index("took")] for row in rows if name in row)


@pytest.mark.parametrize("jump", [-HOURS, HOURS])
def test_a_retry_comes_after_its_delay_although_the_clock_is_set(place: ClockedPlace, jump: float) -> None:
    place.serve_at("12:00")
    place.task("again", "echo >>tries; [ $AQUEUE_ATTEMPT = 2 ]", "retries: {limit: 1, delay: 2s}")
    eventually(lambda: place.rows().get("again", {}).get("waiting_for"))
    place.clock.advance(jump)
    waiting = place.rows()["again"]["waiting_for"]
    assert waiting is None or "h" not in waiting.removeprefix("retry in"), waiting
    place.becomes("again", "succeeded", seconds=8.0)
    assert float(took(place, "again")) < 5.0


def test_a_timeout_that_is_not_over_ends_nothing_when_the_next_server_finds_the_clock_put_on(
    place: ClockedPlace,
) -> None:
    server = place.serve_at("12:00")
    place.task("long", f"{place.until('go')}", "timeout: 1h")
    place.becomes("long", "running")
    server.kill()
    place.clock.advance(HOURS)
    assert float(took(place, "long")) < 60.0
    place.serve()
    place.settle()
    place.path("go").touch()
    place.becomes("long", "succeeded")
    assert float(took(place, "long")) < 60.0


def test_a_timeout_stops_a_run_although_the_next_server_finds_the_clock_put_back(place: ClockedPlace) -> None:
    server = place.serve_at("12:00")
    place.task("long", "sleep 100", "timeout: 3s")
    place.becomes("long", "running")
    server.kill()
    place.clock.advance(-HOURS)
    place.serve()
    row = place.becomes("long", "failed", seconds=12.0)
    assert row["reason"] == "timed out after 3s"
