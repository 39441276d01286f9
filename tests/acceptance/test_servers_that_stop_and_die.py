"""Slots are counted over all servers: the dead hold none, and the stopped lose no run."""

import contextlib
import json
import random
import signal
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from operator import sub

import pytest

from tests.acceptance.background import fall_asleep
from tests.acceptance.driving import Place, Server
from tests.waiting import eventually

pytestmark = pytest.mark.at_length

QUICK = "heartbeat: {interval: 0.1, stale_after: 0.5}\n"
LANE = "queues:\n  config:\n    - {name: lane, max_concurrency: 1}\n"


@contextlib.contextmanager
def stopped(place: Place, *servers: Server) -> Iterator[None]:
    """While it goes on, the servers are like one whose machine has swapped it out."""
    try:
        for server in servers:
            fall_asleep(place, server.process.pid)
        yield
    finally:
        for server in servers:
            server.signal(signal.SIGCONT)


def two_servers(place: Place, heartbeat: str = QUICK) -> tuple[Server, Server]:
    """The first has a run that lasts until there is a file `go`; the second has not."""
    place.drop("aqueue.yaml", heartbeat + LANE)
    first = place.serve()
    lasting(place, "long", "requeue: false")
    place.appears("begun")
    return first, place.serve()


def lasting(place: Place, name: str, *more: str) -> None:
    place.task(f"lane/{name}", f"echo {name} >>begun; {place.until('go')}; echo {name} >>ended; exit 3", *more)


def short(place: Place, name: str) -> None:
    place.task(f"lane/{name}", f"echo {name} >>begun")


def is_silent(place: Place, server: Server) -> bool:
    return any(
        f"server {server.process.pid}" in line and "not responding" in line
        for line in place.run("status").splitlines()
    )


def reported(servers: tuple[Server, ...], text: str) -> int:
    return sum(server.text.count(text) for server in servers)


def peak(place: Place) -> int:
    """Return the most runs at the same time, by the lines `+1 …` and `-1 …` that they have written."""
    steps = [int(line.split()[0]) for line in place.lines("count")]
    return max(sum(steps[:end]) for end in range(len(steps) + 1))


def test_slots_are_counted_over_all_servers(place: Place) -> None:
    place.drop("aqueue.yaml", LANE.replace("1}", "3}"))
    for number in range(20):
        place.task(f"lane/n{number}", f"echo +1 >>count; sleep 0.0{number % 5 + 3}; echo -1 >>count")
    servers = [place.serve("-j", "4", "--drain", wait=False) for _ in range(2)]
    assert [server.ends() for server in servers] == [0, 0]
    assert peak(place) == 3
    assert {(row["state"], row["attempt"]) for row in place.ls()} == {("succeeded", 1)}


@pytest.mark.parametrize("stale_after", ["0.5", "1h"])
def test_a_heartbeat_that_a_killed_server_leaves_behind_holds_no_slot(place: Place, stale_after: str) -> None:
    first, _ = two_servers(place, QUICK.replace("0.5", stale_after))
    short(place, "next")
    eventually(lambda: "next" in place.rows())
    first.kill()
    place.kill_processes_of(1)
    place.becomes("next", "succeeded", seconds=5)
    assert place.lines("begun") == ["long", "next"]
    assert place.rows()["long"]["state"] == "failed"


def test_a_run_that_outlives_its_killed_server_keeps_its_slot_until_it_ends(place: Place) -> None:
    first, second = two_servers(place)
    short(place, "next")
    first.kill()
    second.says("adopted")
    eventually(lambda: "next" in place.rows())
    assert place.rows()["next"]["waiting_for"] == "queue lane is full: run 1"
    place.path("go").touch()
    place.becomes("next", "succeeded")
    assert place.lines("begun") == ["long", "next"]
    assert place.lines("ended") == ["long"]
    assert (place.rows()["long"]["reason"], place.rows()["long"]["attempt"]) == ("exit code 3", 1)


def test_what_a_killed_server_had_claimed_is_taken_up_by_one_that_lives(place: Place) -> None:
    first, second = two_servers(place)
    # What it leaves if it is killed between the rename and its transaction.
    claimed = place.state / "incoming" / "0123456789ab000001~~mine.yaml"
    claimed.write_text("command: echo mine >>begun\n")
    first.kill()
    second.says("accepted")
    place.path("go").touch()
    place.becomes("mine", "succeeded")
    eventually(lambda: not claimed.exists())
    assert place.lines("begun") == ["long", "mine"]
    assert reported((second,), "accepted") == 1


def test_a_stopped_server_loses_no_run_and_runs_nothing_twice_when_it_wakes(place: Place) -> None:
    servers = first, second = two_servers(place)
    short(place, "next")
    eventually(lambda: "next" in place.rows())
    with stopped(place, first):
        second.says("adopted")
        place.path("go").touch()
        place.becomes("next", "succeeded")
        assert (place.rows()["long"]["state"], place.rows()["long"]["exit_code"]) == ("failed", 3)
    eventually(lambda: not is_silent(place, first))
    short(place, "last")
    place.becomes("last", "succeeded")
    assert place.lines("begun") == ["long", "next", "last"]
    assert [row["attempt"] for row in place.ls()] == [1, 1, 1]
    assert reported(servers, "exit code 3") == 1


def test_a_server_that_wakes_leaves_alone_what_another_has_adopted(place: Place) -> None:
    first, second = two_servers(place)
    with stopped(place, first):
        second.says("adopted")
    eventually(lambda: not is_silent(place, first))
    first.signal(signal.SIGINT)
    assert first.ends() == 0
    place.path("go").touch()
    assert place.becomes("long", "failed")["reason"] == "exit code 3"
    assert place.lines("begun") == place.lines("ended") == ["long"]


@pytest.mark.parametrize("told", ["awake", "stopped"])
def test_a_server_that_is_told_to_leave_waits_for_no_run_of_another(place: Place, told: str) -> None:
    first, second = two_servers(place)
    with stopped(place, first):
        second.says("adopted")
        if told == "stopped":
            first.signal(signal.SIGINT)
    if told == "awake":
        eventually(lambda: not is_silent(place, first))
        first.signal(signal.SIGINT)
    assert first.ends(5) == 0
    place.path("go").touch()
    assert place.becomes("long", "failed")["reason"] == "exit code 3"


def test_a_server_that_wakes_when_its_heir_has_died_sees_its_runs_through(place: Place) -> None:
    first, second = two_servers(place)
    with stopped(place, first):
        second.says("adopted")
        second.kill()
    place.path("go").touch()
    assert place.becomes("long", "failed")["reason"] == "exit code 3"
    short(place, "next")
    place.becomes("next", "succeeded")
    assert place.lines("begun") == ["long", "next"]
    assert place.rows()["long"]["attempt"] == 1


@pytest.mark.parametrize("ends", ["before they wake", "after"])
def test_two_servers_that_sleep_together_wake_without_a_loss(place: Place, ends: str) -> None:
    servers = two_servers(place)
    short(place, "next")
    # Or another server might accept the second file first.
    eventually(lambda: "next" in place.rows())
    short(place, "last")
    eventually(lambda: "last" in place.rows())
    with stopped(place, *servers):
        eventually(lambda: all(is_silent(place, server) for server in servers))
        if ends == "before they wake":
            place.path("go").touch()
            eventually(lambda: place.lines("ended") == ["long"])
    place.path("go").touch()
    place.becomes("last", "succeeded")
    assert place.lines("begun") == ["long", "next", "last"]
    assert [(row["attempt"], row["exit_code"]) for row in place.ls()] == [(1, 3), (1, 0), (1, 0)]


def test_a_stopped_server_without_company_takes_up_what_ended_meanwhile(place: Place) -> None:
    place.drop("aqueue.yaml", QUICK + LANE)
    server = place.serve()
    lasting(place, "long")
    place.appears("begun")
    with stopped(place, server):
        place.path("go").touch()
        eventually(lambda: place.lines("ended") and is_silent(place, server))
    row = place.becomes("long", "failed")
    assert (row["reason"], row["attempt"]) == ("exit code 3", 1)


def test_a_timeout_that_passes_while_it_is_stopped_strikes_once(place: Place) -> None:
    place.drop("aqueue.yaml", QUICK + LANE)
    first = place.serve()
    place.task("lane/slow", f"echo $AQUEUE_ATTEMPT >>begun; {place.until('go')}", "timeout: 1s", "retries: 1")
    place.appears("begun")
    second = place.serve()
    with stopped(place, first):
        second.says("adopted")
        eventually(lambda: place.lines("begun") == ["1", "2"])
    place.path("go").touch()
    row = place.becomes("slow", "succeeded")
    assert row["attempt"] == 2
    assert place.lines("begun") == ["1", "2"]


def test_stops_at_any_moment_run_nothing_twice_and_never_exceed_the_slots(place: Place) -> None:
    place.drop("aqueue.yaml", QUICK.replace("0.5", "0.2") + LANE.replace("1}", "3}"))
    servers = [place.serve(), place.serve()]
    for number in range(60):
        place.task(f"lane/n{number}", "echo +1 $AQUEUE_ID >>count; sleep 0.05; echo -1 $AQUEUE_ID >>count")
    moments = random.Random(5)
    while len(place.ls()) < 60 or place.ls("--queued", "--running"):
        server = moments.choice(servers)
        with stopped(place, server):
            if moments.random() < 0.7:
                eventually(partial(is_silent, place, server))
    begun = [line.split()[1] for line in place.lines("count") if line.startswith("+1")]
    assert sorted(begun) == sorted(str(row["id"]) for row in place.ls())
    assert peak(place) <= 3
    assert {row["state"] for row in place.ls()} == {"succeeded"}


def test_a_shorter_heartbeat_is_kept_at_once_and_nobody_is_taken_for_dead(place: Place) -> None:
    place.drop("aqueue.yaml", "heartbeat: {interval: 60s, stale_after: 200s}\n" + LANE)
    first = place.serve()
    lasting(place, "long")
    place.appears("begun")
    second = place.serve()
    place.drop("aqueue.yaml", QUICK + LANE)

    def heartbeats() -> list[datetime]:
        servers = json.loads(place.run("status", "--json"))["servers"]
        return [datetime.fromisoformat(server["heartbeat_at"]) for server in servers]

    before = heartbeats()
    eventually(lambda: min(map(sub, heartbeats(), before)) > timedelta(seconds=1))
    assert "adopted" not in first.text + second.text
    place.path("go").touch()
    place.becomes("long", "failed")
