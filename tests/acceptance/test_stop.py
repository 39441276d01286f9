"""`aqueue stop`: what it waits for, and what it ends."""

import signal
import time
from collections.abc import Iterator

import pytest

from tests.acceptance.background import asleep, begin_stop, end_all, end_of, servers, start
from tests.acceptance.driving import Place
from tests.waiting import eventually

pytestmark = pytest.mark.at_length

QUICK = "grace: 0.5s\nheartbeat: {interval: 0.1s, stale_after: 0.5s}\n"
STUBBORN = "trap '' TERM; (trap '' TERM; echo . >>begun; sleep 60) & sleep 60; wait"


@pytest.fixture(autouse=True)
def nothing_is_left(place: Place) -> Iterator[None]:
    yield
    end_all(place)


def test_stop_lets_runs_finish_and_returns_when_the_server_is_gone(place: Place) -> None:
    server = start(place)
    place.task("a", place.until("go"))
    place.becomes("a", "running")
    stop = begin_stop(place)
    eventually(lambda: [row["leaving"] for row in servers(place)] == ["when done"])
    place.task("b", "touch ran")
    assert "leaving" in place.run("status")
    assert stop.poll() is None
    place.path("go").touch()
    assert end_of(stop) == [
        f"server {server.pid} waits for 1 run",
        f"server {server.pid} has exited",
    ]
    assert (server.is_gone, servers(place)) == (True, [])
    assert place.rows()["a"]["state"] == "succeeded"
    assert not place.path("ran").exists()


@pytest.mark.parametrize("options", [(), ("--kill",)])
def test_what_is_queued_stays_queued_and_is_not_waited_for(place: Place, options: tuple[str, ...]) -> None:
    start(place)
    place.task("later", "false", "retries: {limit: 1, delay: 1h}", "priority: high")
    place.becomes("later", "queued")
    place.task("now", place.until("go"))
    place.becomes("now", "running")
    place.task("next", "touch ran")
    place.becomes("next", "queued")
    stop = begin_stop(place, *options)
    eventually(lambda: all(server["leaving"] for server in servers(place)))
    place.path("go").touch()
    end_of(stop)
    rows = place.rows()
    assert [rows[name]["state"] for name in ("later", "next")] == ["queued", "queued"]
    assert rows["later"]["attempt"] == 1
    start(place)
    place.appears("ran")


def test_kill_ends_whole_process_groups_within_the_grace_and_a_second_as_aborted(place: Place) -> None:
    place.drop("aqueue.yaml", QUICK)
    both = start(place), place.serve()
    for number in (1, 2):
        place.task(f"run{number}", STUBBORN, "retries: 3")
    eventually(lambda: len(place.lines("begun")) == 2)
    assert [row["state"] for row in place.ls()] == ["running", "running"]
    stop = begin_stop(place, "--kill")
    both[1].says("asked to stop")
    began = time.monotonic()
    end_of(stop)
    assert 0.4 < time.monotonic() - began < 0.5 + 1.0
    assert place.processes_of_runs() == []
    assert (both[0].is_gone, both[1].ends()) == (True, 0)
    assert [(row["state"], row["reason"], row["attempt"]) for row in place.ls()] == [
        ("aborted", "stopped with the server", 1)
    ] * 2


def test_kill_does_not_wait_out_the_grace_where_a_run_ends_by_itself(place: Place) -> None:
    start(place)
    place.task("a", "trap 'echo saved >>said; exit 0' TERM; touch begun; while :; do sleep 0.05; done")
    place.appears("begun")
    began = time.monotonic()
    place.run("stop", "--kill")
    assert time.monotonic() - began < 2.0
    assert place.lines("said") == ["saved"]
    assert place.rows()["a"]["state"] == "aborted"


def test_a_stop_that_waits_is_hurried_by_one_that_kills(place: Place) -> None:
    place.drop("aqueue.yaml", QUICK)
    start(place)
    place.task("a", STUBBORN)
    eventually(lambda: place.lines("begun"))
    patient = begin_stop(place)
    eventually(lambda: servers(place)[0]["leaving"])
    place.run("stop", "--kill")
    end_of(patient)
    assert place.rows()["a"]["state"] == "aborted"
    # And one that is to go at once is not told to be patient again.
    assert place.run("stop") == "no server is running\n"


def test_stop_ends_servers_in_the_foreground_too_and_says_so_for_each(place: Place) -> None:
    pair = place.serve(), place.serve("--queue", "lane")
    said = place.run("stop").splitlines()
    assert sorted(said) == sorted(f"server {server.process.pid} has exited" for server in pair)
    assert [server.ends() for server in pair] == [0, 0]
    assert all("asked to stop" in server.text for server in pair)


def test_where_no_server_is_up_stop_says_so_and_a_killed_one_is_not_waited_for(place: Place) -> None:
    place.init()
    assert place.run("stop") == "no server is running\n"
    place.serve().kill()
    # A shell that it was just about to start may hold its lock for a moment longer.
    eventually(lambda: place.run("stop", "--kill") == "no server is running\n")


def test_stop_works_from_below_and_with_a_broken_configuration(place: Place) -> None:
    server = start(place)
    place.task("a", place.until("go"))
    place.becomes("a", "running")
    place.drop("aqueue.yaml", "jobs: [\n")
    below = place.base / "below"
    below.mkdir()
    place.run("stop", "--kill", cwd=below)
    assert server.is_gone
    assert place.rows()["a"]["state"] == "aborted"


def test_a_start_while_another_server_leaves_takes_what_is_queued(place: Place) -> None:
    first = start(place)
    place.task("a", place.until("go"))
    place.becomes("a", "running")
    place.task("b", "touch ran")
    place.becomes("b", "queued")
    stop = begin_stop(place)
    eventually(lambda: servers(place)[0]["leaving"])
    second = start(place)
    place.appears("ran")
    assert stop.poll() is None
    place.path("go").touch()
    end_of(stop)
    assert (first.is_gone, second.is_gone) == (True, False)
    assert place.rows()["a"]["state"] == "succeeded"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_that_was_told_to_go_by_a_signal_is_waited_for(place: Place, number: signal.Signals) -> None:
    server = place.serve()
    place.task("a", place.until("go"))
    place.becomes("a", "running")
    server.signal(number)
    server.says("waiting for 1 run")
    stop = begin_stop(place)
    eventually(lambda: servers(place)[0]["leaving"])
    place.path("go").touch()
    end_of(stop)
    assert (server.ends(), place.rows()["a"]["state"]) == (0, "succeeded")


def test_a_server_that_stands_still_is_named_and_goes_when_it_wakes(place: Place) -> None:
    place.drop("aqueue.yaml", QUICK)
    server = start(place)
    place.task("a", STUBBORN)
    eventually(lambda: place.lines("begun"))
    with asleep(place, server.pid):
        eventually(lambda: "not responding" in place.run("status"))
        stop = begin_stop(place, "--kill")
        eventually(lambda: servers(place)[0]["leaving"])
        assert stop.stdout is not None
        assert any(f"`kill -CONT {server.pid}` resumes it" in line for line in stop.stdout)
        assert stop.poll() is None
    end_of(stop)
    assert place.rows()["a"]["state"] == "aborted"


def test_a_server_that_begins_to_stand_still_while_it_is_waited_for_is_named_then(place: Place) -> None:
    place.drop("aqueue.yaml", QUICK)
    server = start(place)
    place.task("a", place.until("go"))
    place.becomes("a", "running")
    stop = begin_stop(place)
    eventually(lambda: servers(place)[0]["leaving"])
    with asleep(place, server.pid):
        place.path("go").touch()
        eventually(lambda: "not responding" in place.run("status"))
        time.sleep(0.5)  # as long as `stale_after`
        assert stop.poll() is None
    assert [line for line in end_of(stop) if f"`kill -CONT {server.pid}` resumes it" in line]


def test_a_server_that_lives_is_not_called_silent_because_another_took_long(place: Place) -> None:
    place.drop("aqueue.yaml", QUICK)
    start(place)
    place.task("a", place.until("go"))
    place.becomes("a", "running")
    second = place.serve("--queue", "lane")
    place.task("b", place.until("go"), "queue: lane")
    place.becomes("b", "running")
    stop = begin_stop(place)
    eventually(lambda: all(server["leaving"] for server in servers(place)))
    time.sleep(0.7)  # longer than `stale_after`
    place.path("go").touch()
    assert not [line for line in end_of(stop) if "not responding" in line]
    assert second.ends() == 0
