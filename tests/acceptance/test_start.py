"""`aqueue start`: what it starts, for how long, and what it prints."""

import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.background import asleep, end_all, servers, start
from tests.acceptance.driving import Place, watches
from tests.waiting import eventually

pytestmark = pytest.mark.at_length

LEAVING = "nothing is queued or running: the server exits"
OPEN_UMASK = ("sh", "-c", 'umask 0; exec "$@"', "sh")


@pytest.fixture(autouse=True)
def nothing_is_left(place: Place) -> Iterator[None]:
    yield
    end_all(place)


def test_start_makes_a_folder_and_returns_once_a_server_serves_it(place: Place) -> None:
    started = start(place)
    assert [server["pid"] for server in servers(place)] == [started.pid]
    assert "serving queue: " in started.log.read_text()
    assert watches(started.pid)
    place.task("hello", "pwd >here")
    eventually(lambda: place.lines("here") == [str(place.base)])


@pytest.mark.parametrize(("options", "told"), [((), "10.000"), (("--idle-timeout", "0.5s"), "0.500")])
def test_the_server_is_told_to_leave_after_ten_seconds_without_work_or_as_asked(
    place: Place, options: tuple[str, ...], told: str
) -> None:
    arguments = Path(f"/proc/{start(place, *options).pid}/cmdline").read_text().split("\0")
    assert arguments[arguments.index("--idle-timeout") + 1] == told


def test_told_otherwise_it_leaves_sooner_and_takes_new_work_until_then(place: Place) -> None:
    place.drop("aqueue.yaml", "idle_timeout: 30s\n")
    server = start(place, "--idle-timeout", "0.5s")
    place.task("work", place.until("go"))
    place.becomes("work", "running")
    time.sleep(0.7)  # longer than the idle time: it would have left by now
    assert not server.is_gone
    place.path("go").touch()
    place.becomes("work", "succeeded")
    eventually(lambda: server.is_gone, 3.0)
    place.drop("aqueue.yaml", "idle_timeout: 0.1s\n")
    again = start(place)
    eventually(lambda: again.is_gone, 3.0)


def test_the_server_stays_for_a_retry_and_leaves_what_is_held_or_in_a_paused_queue(place: Place) -> None:
    place.init()
    place.task("flaky", "test $AQUEUE_ATTEMPT = 2", "retries: {limit: 1, delay: 0.6s}")
    place.run("pause", "lane")
    place.add("true", "-n", "paused", "-u", "lane")
    place.add("true", "-n", "held", "--hold")
    server = start(place, "--idle-timeout", "0.1s")
    place.becomes("flaky", "succeeded")
    eventually(lambda: server.is_gone, 3.0)
    rows = place.rows()
    assert (rows["paused"]["state"], rows["held"]["state"]) == ("queued", "held")
    assert "no server is running" in place.ask("resume", "lane").stderr
    assert "no server is running" in place.ask("release", str(rows["held"]["id"])).stderr


def test_a_file_dropped_in_the_very_moment_of_leaving_is_taken_by_whoever_starts_next(place: Place) -> None:
    place.init()
    names = [f"t{number}" for number in range(5)]
    for number, name in enumerate(names):
        server = start(place, "-v", "--idle-timeout", "0.05s")
        while LEAVING not in server.log.read_text():
            assert not server.is_gone
        time.sleep(number * 0.004)  # another moment each time
        place.task(name, f"echo {name} >>ran")
    start(place)
    eventually(lambda: len(place.lines("ran")) == len(names))
    place.run("wait")
    assert sorted(place.lines("ran")) == names


def test_a_server_that_a_run_has_started_is_no_process_of_that_run(place: Place) -> None:
    place.environment |= {"AQUEUE_RUN_DIR": str(place.path("queue/.aqueue/runs/1")), "AQUEUE_ATTEMPT": "1"}
    server = start(place)
    assert b"AQUEUE_RUN_DIR" not in Path(f"/proc/{server.pid}/environ").read_bytes()


def test_j_is_a_maximum_a_larger_one_raises_a_smaller_one_changes_nothing(place: Place) -> None:
    server = start(place, "-j", "2")
    for options, said in (
        (("-j", "1"), "up to 2 runs at a time: nothing changed"),
        ((), "up to 2 runs at a time"),
        (("-j", "2"), "up to 2 runs at a time"),
    ):
        assert place.run("start", *options) == f"server {server.pid} is up already, {said}\n"
    for _ in range(4):
        place.add(f"echo . >>begun; {place.until('go')}")
    eventually(lambda: len(place.lines("begun")) == 2)
    assert (
        place.run("start", "-j", "3")
        == f"server {server.pid} is up already: up to 3 runs at a time now, 2 before\n"
    )
    eventually(lambda: len(place.lines("begun")) == 3)
    assert [(row["pid"], row["jobs"]) for row in servers(place)] == [(server.pid, 3)]
    assert [row["state"] for row in place.ls()] == ["running"] * 3 + ["queued"]
    place.path("go").touch()


def test_j_raises_a_server_in_the_foreground_too(place: Place) -> None:
    server = place.serve()
    said = place.run("start", "-j", "2")
    assert said == f"server {server.process.pid} is up already: up to 2 runs at a time now, 1 before\n"
    for _ in range(2):
        place.add(f"echo . >>begun; {place.until('both')}")
    eventually(lambda: len(place.lines("begun")) == 2)
    place.path("both").touch()


def test_several_starts_at_the_same_moment_make_one_server(place: Place) -> None:
    starts = [place.start("start", stdout=subprocess.PIPE, text=True) for _ in range(5)]
    said = sorted(process.communicate(timeout=20)[0] for process in starts)
    assert [process.returncode for process in starts] == [0] * 5
    (server,) = servers(place)
    assert (
        len([text for text in said if text.startswith(f"server {server['pid']} is up; it exits after 10s ")]) == 1
    )
    assert said.count(f"server {server['pid']} is up already, up to 1 run at a time\n") == 4


@pytest.mark.parametrize(
    ("options", "stays"),
    [
        ((), "exits after 10s without work or schedules"),
        (("--idle-timeout", "90", "--ignore-schedules"), "exits after 1m30s without work"),
        (("--idle-timeout", "never"), "stays until `aqueue stop`"),
    ],
)
def test_start_says_for_how_long_the_server_stays(place: Place, options: tuple[str, ...], stays: str) -> None:
    assert f" is up; it {stays}; its log is " in place.run("start", *options)


def test_a_server_that_is_told_so_stays_from_now_on_and_that_is_said(place: Place) -> None:
    server = start(place, "--idle-timeout", "1s")
    said = f"server {server.pid} is up already, up to 1 run at a time; it stays until `aqueue stop` from now on\n"
    assert place.run("start", "--idle-timeout", "never") == said
    time.sleep(1.5)  # longer than the idle time: it would have left by now
    assert not server.is_gone


def test_a_server_that_stands_still_is_not_taken_for_one_that_serves(place: Place) -> None:
    place.drop("aqueue.yaml", "heartbeat: {interval: 0.1s, stale_after: 0.5s}\n")
    with asleep(place, start(place, "--idle-timeout", "30s").pid):
        eventually(lambda: "not responding" in place.run("status"))
        start(place)
        place.task("a", "touch ran")
        place.appears("ran")


def test_a_start_that_fails_says_why(place: Place) -> None:
    place.drop("aqueue.yaml", "jobs: 1\nqueue: {}\n")
    complaint = place.refuse("start", code=2)
    assert complaint.startswith("error: queue/aqueue.yaml:2:1: unknown key 'queue'\ndid you mean 'queues'?")
    assert servers(place) == []
    place.drop("aqueue.yaml", "jobs: 1\n")
    start(place)


def test_a_server_that_cannot_serve_says_why_through_start(place: Place) -> None:
    place.init()
    # What `start` finds in order is not so any more when the server comes.
    place.path("sitecustomize.py").write_text(
        f"""\
import os, sys
if "serve" in sys.orig_argv:
    os.rmdir({str(place.state / "servers")!r})
    os.symlink("/proc/self/fd", {str(place.state / "servers")!r})
"""
    )
    complaint = place.refuse("start", code=1, env={"PYTHONPATH": str(place.base)})
    assert complaint.startswith("error: the server did not start\n")
    assert f"{place.state}/servers" in complaint
    (place.state / "servers").unlink()


@pytest.mark.parametrize("how", ["--dir before", "--dir after", "AQUEUE_DIR", "from below"])
def test_a_folder_is_found_from_elsewhere_and_its_runs_are_in_its_parent(place: Place, how: str) -> None:
    place.init()
    there, below = place.base / "there", place.base / "there/deep/er"
    below.mkdir(parents=True)
    place.folder.rename(there / "queue")
    match how:
        case "--dir before":
            place.run("--dir", "there/queue", "start")
        case "--dir after":
            place.run("start", "--dir", "queue", cwd=there)
        case "AQUEUE_DIR":
            place.run("start", env={"AQUEUE_DIR": "../../queue"}, cwd=below)
        case _:
            place.run("start", cwd=below)
    (there / "queue/a.yaml").write_text("command: touch ran\n")
    place.appears("there/ran")
    place.run("stop", "--kill", "--dir", str(there / "queue"))


@pytest.mark.parametrize("verb", ["start", "stop"])
def test_h_helps_and_q_and_v_exclude_each_other(place: Place, verb: str) -> None:
    place.init()
    assert place.run(verb, "-h").startswith(f"Usage: aqueue {verb} [OPTIONS]")
    assert "-q and -v cannot be used together" in place.refuse(verb, "-q", "-v", code=2)
    assert servers(place) == []


def test_q_prints_nothing_but_an_error(place: Place) -> None:
    for arguments in (("start",), ("start",), ("start", "-j", "2"), ("stop",), ("stop",)):
        done = place.ask(*arguments, "-q")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    place.drop("aqueue.yaml", "jobs: none\n")
    assert "aqueue.yaml:1:7: jobs" in place.refuse("start", "-q", code=2)


def test_v_has_the_server_write_more_into_its_log(place: Place) -> None:
    for options, expected in (((), False), (("-v",), True)):
        server = start(place, *options)
        place.add("echo hello")
        place.run("wait")
        place.run("stop")
        assert ("echo hello" in server.log.read_text()) is expected


def test_status_shows_where_the_log_is(place: Place) -> None:
    server = start(place)
    assert [row["log"] for row in servers(place)] == [str(server.log)]
    assert f"its log: {server.log.relative_to(place.base)}\n" in place.run("status")
    place.task("a", "true")
    eventually(lambda: "succeeded 1 a" in server.log.read_text())


def test_what_a_server_in_the_background_writes_is_private_whatever_the_umask(place: Place) -> None:
    place.init()
    place.prefix = OPEN_UMASK
    server = start(place)
    for private, mode in ((place.state, 0o700), (server.log.parent, 0o700), (server.log, 0o600)):
        assert stat.S_IMODE(private.stat().st_mode) == mode
