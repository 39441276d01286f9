"""Due times that meet earlier runs, and queues that are disabled."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.scheduling import STILL, ClockedPlace, at
from tests.waiting import eventually

pytestmark = pytest.mark.at_length


@pytest.fixture
def place(tmp_path: Path) -> Iterator[ClockedPlace]:
    with closing(ClockedPlace(tmp_path)) as place:
        yield place


def reasons(place: ClockedPlace) -> set[str]:
    """Why runs are not to be run."""
    return {row["reason"].partition(" ")[0] for row in place.ls() if row["state"] == "aborted"}


def pass_due_times(place: ClockedPlace, *times: str) -> None:
    """Have each of these come, one after the other."""
    for time in times:
        place.clock.set(at(f"{time}:00.1"))
        place.settle()


def blocking(place: ClockedPlace, *more: str) -> None:
    place.schedule("job", "* * * * *", *more, command=f"echo $AQUEUE_RUN_ID >>ledger; {place.until('go')}")
    place.serve_at("12:00:30")
    pass_due_times(place, "12:01", "12:02", "12:03")
    eventually(lambda: len(place.lines("ledger")) == 1)


def test_all_that_is_due_waits_for_its_turn(place: ClockedPlace) -> None:
    blocking(place)
    assert place.states("job") == {"12:01": "running", "12:02": "queued", "12:03": "queued"}
    place.path("go").touch()
    eventually(lambda: len(place.lines("ledger")) == 3)
    assert place.lines("ledger") == [f"20300501T120{minute}00Z" for minute in (1, 2, 3)]


def test_what_is_due_while_the_previous_run_is_running_is_skipped(place: ClockedPlace) -> None:
    blocking(place, "overlap: skip")
    assert place.states("job") == {"12:01": "running", "12:02": "aborted", "12:03": "aborted"}
    assert reasons(place) == {"skipped:"}
    place.path("go").touch()
    eventually(lambda: place.states("job")["12:01"] == "succeeded")
    pass_due_times(place, "12:04")
    eventually(lambda: len(place.lines("ledger")) == 2)
    assert place.states("job")["12:03"] == "aborted"


def test_what_is_due_while_the_previous_run_is_queued_is_skipped(place: ClockedPlace) -> None:
    place.schedule("job", "* * * * *", "overlap: skip", STILL)
    place.serve_at("12:00:30")
    pass_due_times(place, "12:01", "12:02", "12:03")
    assert place.states("job") == {"12:01": "queued", "12:02": "aborted", "12:03": "aborted"}


def test_of_those_that_wait_the_newest_stays(place: ClockedPlace) -> None:
    blocking(place, "overlap: latest")
    assert place.states("job") == {"12:01": "running", "12:02": "aborted", "12:03": "queued"}
    assert reasons(place) == {"superseded"}
    place.path("go").touch()
    eventually(lambda: len(place.lines("ledger")) == 2)
    assert place.lines("ledger") == ["20300501T120100Z", "20300501T120300Z"]


def test_what_is_caught_up_and_what_is_due_now_leave_each_other_alone(place: ClockedPlace) -> None:
    late = {
        "all": {"12:10": "queued", "12:20": "queued", "12:30": "queued"},
        "skip": {"12:10": "queued", "12:20": "aborted", "12:30": "aborted"},
        "latest": {"12:10": "aborted", "12:20": "aborted", "12:30": "queued"},
    }
    for overlap in late:
        place.schedule(overlap, "*/10 * * * *", f"overlap: {overlap}", "catchup_window: 1h", STILL)
    server = place.serve_at("11:59:30")
    place.reach("12:00")
    server.kill()
    place.serve_at("12:32")
    assert {overlap: place.states(overlap, "catchup") for overlap in late} == late
    assert {overlap: place.states(overlap) for overlap in late} == {key: {"12:00": "queued"} for key in late}
    place.reach("12:40")
    assert {overlap: place.states(overlap, "catchup") for overlap in late} == late
    assert {overlap: place.states(overlap) for overlap in late} == {
        "all": {"12:00": "queued", "12:40": "queued"},
        "skip": {"12:00": "queued", "12:40": "aborted"},
        "latest": {"12:00": "aborted", "12:40": "queued"},
    }


def test_a_second_catchup_heeds_what_is_left_of_the_first(place: ClockedPlace) -> None:
    place.schedule("job", "*/10 * * * *", "overlap: latest", "catchup_window: 1h", STILL)
    place.serve_at("12:01")
    for time in ("12:22", "12:42"):
        place.clock.set(at(time))
        place.settle()
    assert place.states("job", "catchup") == {
        "12:10": "aborted",
        "12:20": "aborted",
        "12:30": "aborted",
        "12:40": "queued",
    }


def test_where_queues_are_disabled_what_is_due_runs_directly_and_one_shot_tasks_stay(place: ClockedPlace) -> None:
    place.configure("enabled: false, config: [{name: lane, max_concurrency: 1}]")
    for name in ("one", "two", "three"):
        place.schedule(name, "1 12 * * *", "queue: lane", command=f"touch {name}; {place.until('go')}")
    place.task("once", "touch once")
    place.serve_at("12:00:30")
    place.reach("12:01")
    for name in ("one", "two", "three"):
        place.appears(name)
        assert place.states(name) == {"12:01": "running"}
    place.path("go").touch()
    for name in ("one", "two", "three"):
        place.becomes(name, "succeeded")
    assert (place.folder / "once.yaml").exists()
    assert not place.path("once").exists()


def test_where_queues_are_disabled_nothing_is_caught_up_and_each_schedule_that_would_be_is_named(
    place: ClockedPlace,
) -> None:
    place.configure("enabled: false")
    for name in ("early", "late"):
        place.schedule(name, "*/10 * * * *", "catchup_window: 1h")
    place.schedule("other", "*/10 * * * *")
    place.serve_at("12:01").kill()
    server = place.serve_at("12:32")
    assert place.made() == []
    for name, times in (("early", 1), ("late", 1), ("other", 0)):
        warnings = [line for line in server.text.splitlines() if f"schedule {name}:" in line]
        assert len(warnings) == times, server.text
    place.clock.set(at("13:02"))
    place.settle()
    assert server.text.count("schedule early:") == 1
    assert place.made() == []
    place.configure()
    pass_due_times(place, "13:10")
    assert place.made()[0].due == "13:10"
