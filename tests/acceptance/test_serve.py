"""`aqueue serve`: what it runs, when it leaves, what it prints, what signals do to it."""

import os
import pty
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.acceptance.driving import Place
from tests.waiting import eventually

TIMESTAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d ")
QUIT = (signal.SIGINT, signal.SIGTERM)


def test_the_folder_is_created_and_what_is_dropped_runs_in_its_parent(place: Place) -> None:
    place.serve()
    assert place.state.is_dir()
    place.task("hello", "pwd >here")
    eventually(lambda: place.lines("here") == [str(place.base)])
    place.becomes("hello", "succeeded")
    assert not list(place.folder.glob("*.yaml"))


def test_another_folder_can_be_named(place: Place) -> None:
    place.run("init", "elsewhere/tasks")
    place.serve("elsewhere/tasks")
    (place.base / "elsewhere/tasks/a.yaml").write_text("command: touch ran")
    place.appears("elsewhere/ran")


def test_what_was_dropped_before_it_came_runs_and_drain_leaves_when_all_is_done(place: Place) -> None:
    for name in ("one", "two", "three"):
        place.task(name, f"echo {name} >>done")
    place.drain()
    assert sorted(place.lines("done")) == ["one", "three", "two"]


def test_drain_leaves_at_once_where_there_is_nothing_to_do(place: Place) -> None:
    assert "serving" in place.drain(seconds=10.0)


def test_drain_waits_for_a_retry_that_is_not_yet_due_but_not_for_what_is_held(place: Place) -> None:
    place.task("flaky", "test $AQUEUE_ATTEMPT = 2", "retries: {limit: 1, delay: 0.3s}")
    place.task("later", "true", "hold: true")
    place.drain()
    assert [(row["name"], row["state"]) for row in place.ls()] == [("flaky", "succeeded"), ("later", "held")]


def test_idle_timeout_leaves_after_so_long_without_work_and_not_during_it(place: Place) -> None:
    server = place.serve("--idle-timeout", "0.5s")
    place.task("work", place.until("go"))
    place.becomes("work", "running")
    time.sleep(0.7)  # longer than the idle timeout: it would have left by now
    assert server.process.poll() is None
    place.path("go").touch()
    server.says("succeeded")
    ended = time.monotonic()
    assert server.ends() == 0
    assert 0.3 < time.monotonic() - ended < 3.0


def test_runs_start_one_by_one_in_order_of_arrival(place: Place) -> None:
    place.serve()
    names = [f"t{number}" for number in (5, 3, 9, 1, 7, 2)]
    for name in names:
        place.task(name, f"echo begin {name} >>order; sleep 0.02; echo end {name} >>order")
    eventually(lambda: len(place.lines("order")) == 12)
    assert place.lines("order") == [f"{word} {name}" for name in names for word in ("begin", "end")]


def test_j_is_how_many_run_at_the_same_time(place: Place) -> None:
    place.serve("-j", "3")
    for number in range(5):
        place.task(f"t{number}", f"echo . >>begun; {place.until('go')}")
    eventually(lambda: len(place.lines("begun")) == 3)
    rows = place.ls()
    assert [row["state"] for row in rows] == ["running"] * 3 + ["queued"] * 2
    assert len(place.lines("begun")) == 3
    place.path("go").touch()
    eventually(lambda: len(place.lines("begun")) == 5)


def test_a_sub_folder_is_a_queue_whether_it_was_there_or_comes_later_or_is_renamed_in(place: Place) -> None:
    (place.folder / "early").mkdir(parents=True)
    place.serve("-j", "9")
    place.task("early/a", "echo $AQUEUE_QUEUE >>queues")
    eventually(lambda: place.lines("queues") == ["early"])
    (place.folder / "late").mkdir()
    place.task("late/b", "echo $AQUEUE_QUEUE >>queues")
    eventually(lambda: place.lines("queues") == ["early", "late"])
    (place.base / "draft").mkdir()
    (place.base / "draft/c.yaml").write_text("command: echo $AQUEUE_QUEUE >>queues")
    (place.base / "draft").rename(place.folder / "moved")
    eventually(lambda: place.lines("queues") == ["early", "late", "moved"])
    place.task("late/d", "echo again $AQUEUE_QUEUE >>queues")
    eventually(lambda: place.lines("queues") == ["early", "late", "moved", "again late"])


def test_piped_lines_are_plain_and_carry_the_time(place: Place) -> None:
    place.task("good", "true")
    place.task("bad", "exit 3")
    place.drop("wrong.yaml", "comand: true\n")
    text = place.drain()
    assert "\x1b" not in text
    lines = text.splitlines()
    assert all(TIMESTAMP.match(line) for line in lines), text
    plain = "\n".join(TIMESTAMP.sub("", line) for line in lines)
    for expected in (
        r"^accepted \d good \(good\.yaml\)$",
        r"^started \d good$",
        r"^succeeded \d good after \d+(\.\d+)?m?s$",
        r"^failed \d bad after \d+(\.\d+)?m?s: exit code 3$",
        r"^rejected wrong\.yaml:1:1: unknown key 'comand'; did you mean 'command'\?.*rejected/wrong\.yaml",
    ):
        assert re.search(expected, plain, re.MULTILINE), (expected, plain)


@pytest.mark.parametrize("no_color", [False, True])
def test_on_a_terminal_lines_are_coloured_unless_no_color_is_set(place: Place, no_color: bool) -> None:
    place.task("good", "true")
    ours, theirs = pty.openpty()
    env = {"TERM": "xterm-256color"} | ({"NO_COLOR": "1"} if no_color else {})
    place.environment.pop("NO_COLOR", None)
    process = place.start("serve", "--drain", env=env, stdout=theirs, stderr=theirs)
    os.close(theirs)
    text = b""
    # Linux reports the end of a terminal that nobody has open any more as an error.
    try:
        while chunk := os.read(ours, 4096):
            text += chunk
    except OSError:
        pass
    os.close(ours)
    assert process.wait(10.0) == 0
    assert (b"\x1b[32msucceeded" in text) is not no_color
    assert (b"\x1b" in text) is not no_color
    assert not re.search(rb"\d{4}-\d\d-\d\dT", text)


def test_quiet_prints_only_what_needs_a_person(place: Place) -> None:
    place.task("good", "true")
    place.task("bad", "exit 3")
    place.drop("wrong.yaml", "comand: true\n")
    lines = [TIMESTAMP.sub("", line).split()[0] for line in place.drain("-q").splitlines()]
    assert sorted(lines) == ["failed", "rejected"]


def test_verbose_prints_more(place: Place) -> None:
    place.task("good", "echo some $((1 + 1)) words")
    assert "echo some $((1 + 1)) words" in place.drain("-v")
    place.task("good", "echo some $((1 + 1)) words")
    assert "echo some" not in place.drain()


def test_a_pipe_that_nobody_reads_any_more_stops_no_run(place: Place) -> None:
    process = place.start("serve", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    assert b"serving" in process.stdout.readline()
    process.stdout.close()
    place.task("one", "true")
    place.becomes("one", "succeeded")
    place.task("two", "true")
    place.becomes("two", "succeeded")
    process.send_signal(signal.SIGTERM)
    assert process.wait(10.0) == 0


@pytest.mark.parametrize("number", QUIT)
def test_a_signal_ends_an_idle_server_at_once(place: Place, number: signal.Signals) -> None:
    server = place.serve()
    server.signal(number)
    assert server.ends(5.0) == 0


@pytest.mark.parametrize("number", QUIT)
def test_after_the_first_signal_nothing_starts_and_runs_in_progress_are_waited_for(
    place: Place, number: signal.Signals
) -> None:
    server = place.serve()
    place.task("first", place.until("go"))
    place.task("second", "true")
    place.becomes("second", "queued")
    server.signal(number)
    server.says("waiting for 1 run to end")
    place.path("go").touch()
    assert server.ends() == 0
    assert [(row["name"], row["state"]) for row in place.ls()] == [("first", "succeeded"), ("second", "queued")]


def test_the_second_signal_stops_the_whole_group(place: Place) -> None:
    server = place.serve()
    place.task("parent", "sleep 60 & echo $! >grandchild; sleep 60")
    place.appears("grandchild")
    server.signal(signal.SIGTERM)
    server.says("waiting for 1 run")
    server.signal(signal.SIGINT)
    assert server.ends(5.0) == 0
    assert place.processes_of_runs() == []
    row = place.rows()["parent"]
    assert (row["state"], row["reason"]) == ("aborted", "stopped with the server")


def test_what_ignores_the_second_signal_is_killed_after_the_grace(place: Place) -> None:
    place.init()
    (place.folder / "aqueue.yaml").write_text("grace: 0.3s\n")
    server = place.serve()
    place.task("deaf", "trap '' TERM; touch deaf; while :; do sleep 0.05; done")
    place.appears("deaf")
    server.signal(signal.SIGINT)
    server.says("waiting for 1 run")
    server.signal(signal.SIGINT)
    assert server.ends(5.0) == 0
    assert place.processes_of_runs() == []
    assert place.rows()["deaf"]["state"] == "aborted"


def test_after_the_third_signal_the_runs_go_on_and_the_next_server_adopts_them(place: Place) -> None:
    server = place.serve()
    place.task("deaf", f"trap '' TERM; touch deaf; {place.until('go')}; exit 5")
    place.appears("deaf")
    server.signal(signal.SIGINT)
    server.says("waiting for 1 run")
    server.signal(signal.SIGTERM)
    server.says("stopping all runs")
    server.signal(signal.SIGINT)
    assert server.ends(3.0) == 0
    assert place.processes_of_runs()
    next_server = place.serve()
    next_server.says("adopted")
    place.path("go").touch()
    row = place.becomes("deaf", "failed")
    assert (row["exit_code"], row["attempt"]) == (5, 1)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_it_serves_and_answers_where_standard_input_output_or_error_is_closed(place: Place, closed: str) -> None:
    place.task("hello", "pwd >here")
    place.prefix = ("/bin/sh", "-c", f'exec "$@" {closed}', "sh")
    for arguments in (["serve", "--drain"], ["ls"], ["add", "--", "true"]):
        command = place.start(*arguments, stderr=subprocess.PIPE)
        assert command.communicate(timeout=10.0)[1].count(b"Traceback") == 0
        assert command.returncode == 0
    assert place.lines("here") == [str(place.base)]


def test_it_serves_where_the_ends_of_processes_were_ignored_by_whoever_started_it(place: Place) -> None:
    place.task("job", "exit 3")
    ignore = "signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    place.prefix = (sys.executable, "-c", f"import os, signal, sys; {ignore}")
    assert place.start("serve", "--drain").wait(10.0) == 1
    assert place.rows()["job"]["exit_code"] == 3


@pytest.mark.parametrize("tries", range(8))
def test_it_leaves_when_told_to_while_a_file_comes(place: Place, tries: int) -> None:
    server = place.serve()
    place.task("a", "true")
    for _ in range(3):
        server.signal(signal.SIGINT)
        time.sleep(0.002 * tries)
    assert server.ends(10.0) in (0, 130)
    place.drain()
    row = place.rows()["a"]
    # If it had been started by then, the second Ctrl-C has stopped it.
    assert row["state"] == "succeeded" or (row["state"], row["reason"]) == ("aborted", "stopped with the server")
