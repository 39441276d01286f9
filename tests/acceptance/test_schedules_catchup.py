"""Times that were due while no server was up get one run each, whatever happens."""

import random
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.acceptance.driving import Server
from tests.acceptance.scheduling import MAX_MINUTES, STILL, ClockedPlace, at, caught_up, every, live, most_minutes
from tests.waiting import eventually

pytestmark = pytest.mark.at_length


@pytest.fixture
def place(tmp_path: Path) -> Iterator[ClockedPlace]:
    with closing(ClockedPlace(tmp_path)) as place:
        yield place


def leave(server: Server, end: signal.Signals) -> None:
    server.signal(end)
    server.ends()


def test_what_was_due_meanwhile_is_made_oldest_first_and_once_however_often_it_is_started(
    place: ClockedPlace,
) -> None:
    place.schedule("five", "*/5 * * * *", "catchup_window: 1h", STILL)
    place.schedule("ten", "*/10 * * * *", "catchup_window: 2d12h", STILL)
    server = place.serve_at("11:59:30")
    place.reach("12:00")
    fives, tens = live("five", "12:00"), live("ten", "12:00")
    for end, hour in ((signal.SIGINT, 12), (signal.SIGKILL, 13)):
        leave(server, end)
        server = place.serve_at(f"{hour}:32")
        fives += caught_up("five", *every(5, at("12:35" if hour == 13 else "12:05"), at(f"{hour}:30")))
        tens += caught_up("ten", *every(10, at("12:40" if hour == 13 else "12:10"), at(f"{hour}:30")))
        rows = place.ls()
        made = place.made()
        assert [one for one in made if one.name == "five"] == fives
        assert [one for one in made if one.name == "ten"] == tens
        leave(server, end)
        server = place.serve_at(f"{hour}:33")
        assert place.ls() == rows
        assert {row["priority"] for row in rows} == {"low"}
    place.reach("13:35")
    assert place.made() == [*made, *live("five", "13:35")]


def test_they_run_one_after_the_other_in_their_order_and_know_what_they_are_for(place: ClockedPlace) -> None:
    place.schedule("job", "*/10 * * * *", "catchup_window: 1h", command="echo $AQUEUE_SCHEDULED_FOR >>ledger")
    place.serve_at("12:01").kill()
    place.serve_at("12:32")
    eventually(lambda: len(place.lines("ledger")) == 3)
    assert [line[:16] for line in place.lines("ledger")] == [f"2030-05-01T12:{minute}" for minute in (10, 20, 30)]
    assert {row["queue"] for row in place.ls()} == {"job"}


def test_they_wait_behind_all_others_of_their_queue(place: ClockedPlace) -> None:
    place.schedule("job", "*/10 * * * *", "catchup_window: 1h", "queue: lane", command="echo job >>ledger")
    place.serve_at("12:01").kill()
    place.run("pause", "lane")
    place.serve_at("12:32")
    place.make(*caught_up("job", "12:10", "12:20", "12:30"))
    place.add("echo other >>ledger", "-u", "lane")
    place.run("resume", "lane")
    eventually(lambda: len(place.lines("ledger")) == 4)
    assert place.lines("ledger") == ["other", "job", "job", "job"]


def test_crashes_in_mid_catchup_neither_lose_nor_repeat_a_run(place: ClockedPlace) -> None:
    names = [f"s{number}" for number in range(4)]
    for name in names:
        place.schedule(name, MAX_MINUTES, "catchup_window: 2d", STILL)
    place.serve_at("00:55").kill()
    counts = []
    for hour in range(16, 20):
        # More is missed while the server is down.
        place.clock.set(at(f"{hour}:55"))
        server = place.serve(wait=False)
        place.wait_for(min(place.count() + random.randint(1, 600), len(names) * 50 * hour))
        server.kill()
        counts.append(place.count())
    dues = most_minutes(at("01:00"), at("20:49"))
    assert counts[0] < len(names) * 50 * 16, "it was over before the first crash"
    place.serve_at("20:55")
    place.make(*(made for name in names for made in caught_up(name, *dues)))
    for name in names:
        assert [made.due for made in place.made() if made.name == name] == dues


def test_without_a_window_there_is_only_what_is_less_than_a_minute_late(place: ClockedPlace) -> None:
    place.schedule("job", "*/10 * * * *", STILL)
    place.serve_at("12:01").kill()
    place.serve_at("12:30:40")
    place.make(*live("job", "12:30"))
    assert place.schedules()["job"]["missed"] == 2


def test_a_schedule_that_is_seen_for_the_first_time_has_none(place: ClockedPlace) -> None:
    place.serve_at("11:00").kill()
    place.schedule("job", "*/10 * * * *", "catchup_window: 2h", STILL)
    place.serve_at("12:01")
    assert place.made() == []
    assert place.schedules()["job"]["missed"] == 0


def test_of_too_many_the_newest_thousand_are_made_and_it_says_how_many_are_not(place: ClockedPlace) -> None:
    place.schedule("job", MAX_MINUTES, "catchup_window: 2d", STILL)
    place.serve_at("00:55").kill()
    server = place.serve_at(at("00:55", 1))
    place.make(*caught_up("job", *most_minutes(at("05:00"), at("00:49", 1))))
    (warning,) = [line for line in server.text.splitlines() if "200" in line]
    assert "job" in warning
    assert place.schedules()["job"]["missed"] == 200


def test_a_window_reaches_back_from_now_but_not_beyond_the_last_time_handled(place: ClockedPlace) -> None:
    firsts = {"3h": "10:05", "30m": "11:35", "29m": "11:40", "5m": "12:00", "4m": None}
    for window in firsts:
        place.schedule(window, "*/5 * * * *", f"catchup_window: {window}", STILL)
    place.serve_at("10:01").kill()
    place.serve_at("12:04:30")
    dues = {window: every(5, at(first), at("12:00")) if first else [] for window, first in firsts.items()}
    place.make(*(made for window in dues for made in caught_up(window, *dues[window])))
    missed = {name: row["missed"] for name, row in place.schedules().items()}
    assert missed == {window: len(dues["3h"]) - len(dues[window]) for window in dues}


def test_a_single_time_is_caught_up_once_and_runs_again_only_at_another(place: ClockedPlace) -> None:
    place.task("job", "true", "at: 2030-05-01T12:10:00Z", "catchup_window: 1h", STILL)
    place.serve_at("12:00").kill()
    place.serve_at("12:30").kill()
    place.task("job", "true", 'at: "2030-05-01T21:10:00+09:00"', "catchup_window: 1h", STILL)
    place.serve_at("12:40")
    assert place.made() == caught_up("job", "12:10")
    place.task("job", "true", "at: 2030-05-01 12:50", STILL)
    eventually(lambda: place.next("job") == "12:50")
    place.approach("12:50")
    place.make(*caught_up("job", "12:10"), *live("job", "12:50"))


def test_an_edit_while_no_server_was_up_brings_back_nothing_from_while_one_was(place: ClockedPlace) -> None:
    place.schedule("job", "0 2 * * *", "catchup_window: 12h", STILL)
    server = place.serve_at("10:00")
    place.clock.set(at("12:05"))
    place.settle()
    leave(server, signal.SIGINT)
    place.schedule("job", "*/10 * * * *", "catchup_window: 12h", STILL)
    place.serve_at("12:35")
    assert place.made() == caught_up("job", "12:10", "12:20", "12:30")
