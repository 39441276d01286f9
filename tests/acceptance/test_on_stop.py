"""SIGTERM: what `--on-stop` makes of it, runs that end with the machine, and messages to a service manager."""

import os
import signal
import socket

import pytest

from tests.acceptance.driving import Place
from tests.waiting import eventually


def test_with_leave_runs_go_on_and_the_next_server_adopts_them(place: Place) -> None:
    server = place.serve("--on-stop", "leave")
    place.task("long", f"echo begun >>begun; {place.until('go')}; exit 5")
    place.appears("begun")
    server.signal(signal.SIGTERM)
    assert server.ends(5.0) == 0
    assert "its runs go on" in server.text
    assert place.processes_of_runs()
    next_server = place.serve("--on-stop", "leave")
    next_server.says("adopted")
    place.path("go").touch()
    assert place.becomes("long", "failed")["exit_code"] == 5
    assert place.lines("begun") == ["begun"]
    next_server.signal(signal.SIGTERM)
    assert next_server.ends(5.0) == 0


def test_with_kill_runs_are_stopped_at_once(place: Place) -> None:
    server = place.serve("--on-stop", "kill")
    place.task("long", "touch begun; sleep 60")
    place.task("next", "true")
    place.appears("begun")
    server.signal(signal.SIGTERM)
    assert server.ends(5.0) == 0
    assert place.processes_of_runs() == []
    rows = place.rows()
    assert (rows["long"]["state"], rows["long"]["reason"]) == ("aborted", "stopped with the server")
    assert rows["next"]["state"] == "queued"


def test_ctrl_c_drains_whatever_sigterm_means(place: Place) -> None:
    server = place.serve("--on-stop", "kill")
    place.task("long", f"touch begun; {place.until('go')}")
    place.appears("begun")
    server.signal(signal.SIGINT)
    server.says("waiting for 1 run")
    place.path("go").touch()
    assert server.ends(5.0) == 0
    assert place.rows()["long"]["state"] == "succeeded"


@pytest.mark.parametrize("on_stop", ["drain", "leave"])
@pytest.mark.parametrize("first", ["run", "server"])
def test_a_run_that_ends_with_the_machine_is_queued_again(place: Place, on_stop: str, first: str) -> None:
    server = place.serve("--on-stop", on_stop)
    place.task("long", f"echo $$ >>begun; {place.until('go')}")
    eventually(lambda: place.lines("begun"))
    order = [int(place.lines("begun")[0]), server.process.pid]
    # As a machine that goes down: everybody gets a signal, in any order.
    for pid in order if first == "run" else order[::-1]:
        os.kill(pid, signal.SIGTERM)
    assert server.ends(5.0) == 0
    row = place.rows()["long"]
    assert row["state"] == "queued"
    assert row["reason"] == "lost: killed by SIGTERM while the server was told to stop; queued again"
    place.path("go").touch()
    place.drain()
    row = place.rows()["long"]
    assert (row["state"], row["attempt"]) == ("succeeded", 2)


def test_a_run_that_is_killed_while_its_server_stays_has_failed(place: Place) -> None:
    place.serve()
    place.task("long", "kill -TERM $$; sleep 60")
    assert place.becomes("long", "failed")["reason"] == "killed by SIGTERM"


def test_a_service_manager_is_told_when_it_serves_lives_and_exits(place: Place) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(place.path("notify")))
        manager.settimeout(10.0)
        server = place.serve(env={"NOTIFY_SOCKET": str(place.path("notify")), "WATCHDOG_USEC": "200000"})
        assert [manager.recv(100) for _ in range(3)] == [b"READY=1", b"WATCHDOG=1", b"WATCHDOG=1"]
        place.task("run", "env >variables")
        place.becomes("run", "succeeded")
        assert not [line for line in place.lines("variables") if line.startswith(("NOTIFY_", "WATCHDOG_"))]
        server.signal(signal.SIGTERM)
        assert server.ends(5.0) == 0
        last = b""
        while last != b"STOPPING=1":
            last = manager.recv(100)
            assert last in (b"WATCHDOG=1", b"STOPPING=1")
