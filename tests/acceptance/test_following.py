"""`aqueue logs` and `aqueue wait`: all of the output, and at once."""

import re
import signal
import subprocess
import threading
import time
from datetime import datetime
from functools import partial
from statistics import median

import pytest

from tests.acceptance.driving import Place, watches
from tests.waiting import eventually

pytestmark = pytest.mark.at_length


class Follower:
    """A command whose lines are read as they come, each with the time at which it did."""

    def __init__(self, place: Place, *arguments: str) -> None:
        self.process = place.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.lines: list[tuple[float, str]] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stdout:
            for line in stdout:
                self.lines.append((time.time(), line.rstrip("\n")))

    @property
    def text(self) -> list[str]:
        return [line for _, line in self.lines]

    def has_lines(self, count: int) -> bool:
        return len(self.lines) == count

    def ends(self) -> int:
        code = int(self.process.wait(20.0))
        self._thread.join(5.0)
        return code


def test_logs_shows_what_a_run_has_written(place: Place) -> None:
    place.task("twice", "echo attempt $AQUEUE_ATTEMPT; printf 'no end of line'; exit 1", "retries: 1")
    place.drain()
    assert place.run("logs", "1") == "attempt 2\nno end of line"
    assert place.run("logs", "--attempt", "1", "1") == "attempt 1\nno end of line"
    followed = place.ask("logs", "-f", "1")
    assert (followed.returncode, followed.stdout) == (1, "attempt 2\nno end of line")
    began, ended = followed.stderr.splitlines()
    assert re.fullmatch(r"attempt 2 of run 1 twice, started \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", began)
    assert re.fullmatch(r"1 twice failed after .*: exit code 1: no end of line", ended)
    first = place.ask("logs", "-f", "--attempt", "1", "-n", "1", "1")
    assert (first.returncode, first.stdout) == (1, "no end of line")
    assert re.search("attempt 1 of run 1 twice ended after .*: exit code 1", first.stderr)
    assert "has only 2 attempts" in place.refuse("logs", "--attempt", "3", "1", code=1)


def test_logs_shows_the_first_or_last_lines_of_several_runs(place: Place) -> None:
    place.drop("sweep.yaml", "command: seq $n; exit $((n % 2))\nmatrix: {n: [3, 4, 5]}\n")
    place.drain("-j", "3")
    heads = [
        "==> 1 sweep-1, failed: exit code 1: 3 <==\n",
        "==> 2 sweep-2, succeeded <==\n",
        "==> 3 sweep-3, failed: exit code 1: 5 <==\n",
    ]
    tails = ["2\n3\n", "3\n4\n", "4\n5\n"]
    shown = [head + tail for head, tail in zip(heads, tails, strict=True)]
    assert place.run("logs", "-n", "2", "--group", "sweep") == "\n".join(shown)
    assert place.run("logs", "--tail", "2", "--failed") == "\n".join(shown[::2])
    assert place.run("logs", "--failed", "3", "2") == "1\n2\n3\n4\n5\n"
    assert place.run("logs", "--head", "1", "1", "2") == f"{heads[0]}1\n\n{heads[1]}1\n"
    assert place.run("logs", "--failed", "2-3") == place.run("logs", "3")
    assert place.ask("logs", "--failed", "2").stderr == "there is no output of such runs\n"
    assert "no runs are given" in place.refuse("logs", code=2)
    assert "cannot be used together" in place.refuse("logs", "--head", "1", "-n", "1", "1", code=2)
    both = place.ask("logs", "-f", "2", "1")
    assert (both.returncode, both.stdout.count("==>")) == (1, 2)


def test_a_follower_says_what_a_run_waits_for(place: Place) -> None:
    place.serve()
    place.task("busy", place.until("go"), "queue: lane")
    place.becomes("busy", "running")
    place.add("true", "-n", "next", "--queue", "lane")
    follower = place.start("logs", "-f", "next", stderr=subprocess.PIPE, text=True)
    assert follower.stderr is not None
    assert follower.stderr.readline() == "run 2 next: queue lane is full: run 1\n"
    place.path("go").touch()
    began, ended = follower.communicate(timeout=10.0)[1].splitlines()
    assert began.startswith("attempt 1 of run 2 next, started ")
    assert ended.startswith("2 next succeeded after ")
    assert follower.returncode == 0


def test_logs_passes_bytes_on_as_they_are(place: Place) -> None:
    place.task("bytes", r"printf '\000\377\r\303\050'")
    place.drain()
    process = place.start("logs", "1", stdout=subprocess.PIPE)
    out, _ = process.communicate(timeout=10.0)
    assert out == b"\x00\xff\r\xc3\x28"


def test_logs_of_a_run_without_output_says_why_there_is_none(place: Place) -> None:
    place.init()
    place.add("true")
    complaint = place.refuse("logs", "1", code=1)
    assert complaint.splitlines() == [
        "error: run 1 has not been started yet",
        "`aqueue logs -f 1` waits for it",
    ]
    place.run("cancel", "1")
    assert "cancelled" in place.refuse("logs", "1", code=1)


def test_a_follower_gets_all_of_20000_lines_and_ends_with_the_run(place: Place) -> None:
    place.init()
    place.add(f"seq 10000; {place.until('go')}; seq 10001 20000; exit 3", "-n", "long")
    follower = Follower(place, "logs", "-f", "1")
    place.serve()
    eventually(lambda: len(follower.lines) == 10_000)
    assert follower.process.poll() is None
    place.path("go").touch()
    assert follower.ends() == 1
    assert follower.text == [str(number) for number in range(1, 20_001)]
    assert place.ls()[0]["state"] == "failed"


def test_a_follower_sees_each_line_soon_after_it_was_written(place: Place) -> None:
    place.serve()
    place.task("slow", "for i in 1 2 3 4 5; do date +%s.%N; sleep 0.2; done")
    place.appears("queue/.aqueue/runs/1/attempt-1.log")
    follower = Follower(place, "logs", "-f", "1")
    assert follower.ends() == 0
    assert len(follower.lines) == 5
    # The first lines may have been there before it was. If nothing told of the others, they would come 5 s late.
    assert median(at - float(line) for at, line in follower.lines[2:]) < 2.0


def test_a_follower_goes_on_with_each_retry(place: Place) -> None:
    place.init()
    place.path("flaky.yaml").write_text(
        "command: echo attempt $AQUEUE_ATTEMPT; exit 1\nretries: {limit: 2, delay: 0.3s}\n"
    )
    place.run("enqueue", "flaky.yaml")
    follower = place.start("logs", "-f", "1", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    eventually(lambda: watches(follower.pid))
    place.serve()
    printed, said = follower.communicate(timeout=20.0)
    assert (follower.returncode, printed) == (1, "attempt 1\nattempt 2\nattempt 3\n")
    for number in (1, 2, 3):
        assert said.count(f"attempt {number} of run 1 flaky, started ") == 1
    assert [said.count(f"attempt {number} of run 1 flaky ended after ") for number in (1, 2, 3)] == [1, 1, 0]
    assert said.splitlines()[-1].startswith("1 flaky failed after ")


def test_a_follower_ends_when_the_run_it_waits_for_is_cancelled(place: Place) -> None:
    place.init()
    place.add("true")
    follower = Follower(place, "logs", "-f", "1")
    eventually(lambda: watches(follower.process.pid))
    place.run("cancel", "1")
    assert follower.ends() == 1
    assert follower.lines == []
    done = place.ask("logs", "-f", "1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "run 1 has no output: cancelled" in done.stderr


def test_a_follower_of_a_run_that_is_taken_off_its_queue_says_that_it_is_gone(place: Place) -> None:
    place.init()
    place.add("true", "--queue", "lane")
    follower = place.start("logs", "-f", "1", stderr=subprocess.PIPE, text=True)
    eventually(lambda: watches(follower.pid))
    place.run("dequeue", "lane")
    _, complaint = follower.communicate(timeout=10.0)
    assert follower.returncode == 1
    assert "run 1 no longer exists: it was dequeued or pruned" in complaint


@pytest.mark.parametrize("command", [["logs", "-f", "1"], ["wait", "1"], ["wait"]])
def test_nobody_is_kept_by_a_run_in_a_paused_queue_or_told_first_to_start_a_server(
    place: Place, command: list[str]
) -> None:
    place.init()
    place.run("pause", "lane")
    place.add("true", "-n", "job", "--queue", "lane")
    why = "queue lane is paused; `aqueue resume lane` resumes it"
    done = place.ask(*command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"run 1 job cannot start: {why}\n"


def test_a_follower_of_attempts_ends_with_1_when_the_next_needs_a_person(place: Place) -> None:
    place.serve()
    place.task("job", f"echo out; {place.until('go')}; false", "queue: lane", "retries: 1")
    place.becomes("job", "running")
    follower = place.start("logs", "-f", "1", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    eventually(lambda: watches(follower.pid))
    place.run("pause", "lane")
    place.path("go").touch()
    printed, said = follower.communicate(timeout=10.0)
    assert (printed, follower.returncode) == ("out\n", 1)
    assert said.splitlines()[-1].startswith("run 1 job cannot start: queue lane is paused")


def test_a_follower_survives_the_death_of_the_server(place: Place) -> None:
    server = place.serve()
    place.task("long", f"echo one; {place.until('go')}; echo two")
    place.becomes("long", "running")
    follower = Follower(place, "logs", "-f", "1")
    eventually(lambda: follower.text == ["one"])
    server.kill()
    place.path("go").touch()
    eventually(lambda: follower.text == ["one", "two"])
    place.drain()
    assert follower.ends() == 0


def test_wait_ends_soon_after_the_runs_do_and_tells_how_they_ended(place: Place) -> None:
    place.serve()
    for number in range(1, 4):
        place.add(place.until(f"go{number}"), "-n", f"t{number}")
    waiter = Follower(place, "wait", "1", "2", "3")
    for number in range(1, 4):
        place.becomes(f"t{number}", "running")
        place.path(f"go{number}").touch()
        eventually(partial(waiter.has_lines, number))
    assert waiter.ends() == 0
    delays = []
    for row, (at, line) in zip(place.ls(), waiter.lines, strict=True):
        assert line.startswith(f"{row['id']} t{row['id']} succeeded after ")
        delays.append(at - datetime.fromisoformat(row["finished_at"]).timestamp())
    assert median(delays) < 0.15, delays


def test_wait_fails_for_a_run_that_is_taken_off_its_queue(place: Place) -> None:
    place.init()
    place.add("true", "--queue", "lane")
    waiter = Follower(place, "wait", "1")
    eventually(lambda: watches(waiter.process.pid))
    place.run("dequeue", "lane")
    assert waiter.ends() == 1
    assert waiter.text == ["run 1 no longer exists"]


def test_wait_without_runs_is_for_all_that_are_queued_or_running(place: Place) -> None:
    place.init()
    assert place.run("wait") == ""
    place.add("true", "-n", "staged", "--hold")
    place.add("true", "-n", "one")
    place.add("true", "-n", "two")
    waiter = Follower(place, "wait")
    eventually(lambda: watches(waiter.process.pid))
    place.serve()
    assert waiter.ends() == 0
    assert [line.split()[1] for line in waiter.text] == ["one", "two"]


def test_wait_exits_with_1_if_one_of_the_runs_did_not_succeed(place: Place) -> None:
    place.task("good", "true")
    place.task("bad", "exit 3")
    place.drain()
    place.add("true", "--hold")
    place.run("cancel", "3")
    by_name = {row["name"]: str(row["id"]) for row in place.ls()}
    done = place.ask("wait", by_name["good"], by_name["bad"])
    assert done.returncode == 1
    assert done.stdout.rstrip().endswith("exit code 3")
    # An aborted one did not either.
    quiet = place.ask("wait", "-q", "3", by_name["good"])
    assert (quiet.returncode, quiet.stdout) == (1, "")
    assert place.ask("wait", by_name["good"], "99").returncode == 1


def test_wait_waits_for_the_retries_too(place: Place) -> None:
    place.serve()
    place.task("flaky", f"{place.until('go')}; test $AQUEUE_ATTEMPT = 2", "retries: {limit: 1, delay: 0.3s}")
    place.becomes("flaky", "running")
    waiter = Follower(place, "wait", "1")
    place.path("go").touch()
    assert waiter.ends() == 0
    assert [line.split()[:3] for line in waiter.text] == [["1", "flaky", "succeeded"]]


def test_a_terminated_waiter_does_not_touch_the_run(place: Place) -> None:
    place.serve()
    place.task("long", place.until("go"))
    place.becomes("long", "running")
    waiter = Follower(place, "wait")
    waiter.process.send_signal(signal.SIGTERM)
    assert waiter.ends() != 0
    assert place.ls()[0]["state"] == "running"
    place.path("go").touch()
    place.becomes("long", "succeeded")


def test_of_a_run_that_goes_on_without_a_server_only_the_end_is_waited_for(place: Place) -> None:
    server = place.serve()
    place.task("long", place.until("go"))
    place.becomes("long", "running")
    server.kill()
    why = "no server is running: its end is recorded once you run `aqueue serve`"
    assert place.run("ls").splitlines()[1].endswith(why)
    assert place.ls()[0]["waiting_for"] is None
    followed, waited = (
        place.start(*words, "long", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for words in (("logs", "-f"), ("wait",))
    )
    for process in (followed, waited):
        assert process.stderr is not None
        assert f"{why}\n" in iter(process.stderr.readline, "")
    place.path("go").touch()
    place.drain()
    for process in (followed, waited):
        process.communicate(timeout=10.0)
        assert process.returncode == 0
