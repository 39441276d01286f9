"""A log with a limit: bounded, with head and tail, whatever becomes of the server."""

import re

import pytest

from tests.acceptance.driving import Place
from tests.waiting import eventually

pytestmark = pytest.mark.at_length

LIMIT = 64 << 10


def test_a_log_has_head_and_tail_and_stays_within_its_limit_over_the_death_of_the_server(place: Place) -> None:
    place.drop("aqueue.yaml", "defaults: {log: {limit: 64KiB}}\n")
    server = place.serve()
    flood = "seq -f '%g lines' 100000"
    place.task("long", f"{flood}; {place.until('go')}; {flood}; touch flooded; {place.until('end')}; echo last")
    log = place.state / "runs" / "1" / "attempt-1.log"
    eventually(lambda: log.exists() and b"100000 lines" in log.read_bytes())
    check(place.run("logs", "1"), "100000 lines\n")
    server.kill()
    place.path("go").touch()
    place.appears("flooded")
    check(place.run("logs", "1"), "100000 lines\n")
    place.serve()
    place.path("end").touch()
    place.becomes("long", "succeeded")
    assert log.stat().st_size <= LIMIT
    assert place.run("logs", "1") == log.read_text()
    check(place.run("logs", "1"), "100000 lines\nlast\n")
    assert [place.show(run)["log_limit"] for run in ("1", place.add("true"))] == [LIMIT, LIMIT]


def check(printed: str, end: str) -> None:
    """Nothing is printed but lines as they were written; where some are missing, one says so."""
    assert printed.startswith("1 lines\n2 lines\n3 lines\n")
    assert printed.endswith(end)
    others = [line for line in printed.removesuffix("last\n").splitlines() if not re.fullmatch(r"\S+ lines", line)]
    assert len(others) <= 1
    assert all(
        re.fullmatch(r"\[aqueue: \S+ [KM]iB left out here.*: log.limit is 64 KiB\]", line) for line in others
    )
