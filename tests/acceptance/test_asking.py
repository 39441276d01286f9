"""`aqueue ls`, `show` and `status`: every field that scripts may rely on, and what people read."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.driving import Place
from tests.waiting import eventually

pytestmark = pytest.mark.at_length

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
RUN_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def test_the_fields_of_a_run_that_is_over(place: Place) -> None:
    place.drop(
        "lane/train.yaml",
        "command: exit 3\npriority: high\nparams: {lr: 0.1, name: x, on: true}\ntags: [team=a, nightly]\n",
    )
    place.drain()
    (row,) = place.ls()
    assert " ".join(row) == (
        "id run_id name queue priority state reason waiting_for starts_in progress trigger tags group params"
        " params_text metrics gpus attempt exit_code pid created_at started_at finished_at scheduled_for log"
    )
    assert RUN_ID.fullmatch(row.pop("run_id"))
    times = [row.pop(key) for key in ("created_at", "started_at", "finished_at")]
    assert all(TIME.fullmatch(at) for at in times)
    assert times == sorted(times)
    assert row == {
        "id": 1,
        "name": "train",
        "queue": "lane",
        "priority": "high",
        "state": "failed",
        "reason": "exit code 3",
        "waiting_for": None,
        "starts_in": None,
        "progress": None,
        "trigger": "file",
        "tags": ["team=a", "nightly"],
        "group": None,
        "params": {"lr": 0.1, "name": "x", "on": True},
        "params_text": {"lr": "0.1", "name": "x", "on": "true"},
        "metrics": None,
        "gpus": None,
        "attempt": 1,
        "exit_code": 3,
        "pid": None,
        "scheduled_for": None,
        "log": f"{place.state}/runs/1/attempt-1.log",
    }


def test_the_fields_of_runs_that_wait_or_run_and_what_they_wait_for(place: Place) -> None:
    place.init()
    place.add("true", "-n", "early")
    assert place.ls()[0]["waiting_for"] == "no server is running; `aqueue serve` starts one"
    place.run("cancel", "1")
    place.serve()
    place.task("busy", f"echo $$ >pid; {place.until('go')}", "queue: lane")
    place.appears("pid")
    place.add("true", "-n", "second", "-u", "lane")
    place.add("true", "-n", "third", "-u", "lane")
    place.add("true", "-n", "other")
    place.add("true", "-n", "staged", "--hold")
    rows = place.rows()
    busy = rows["busy"]
    assert (busy["state"], busy["waiting_for"], busy["finished_at"], busy["exit_code"]) == ("running",) + (
        None,
    ) * 3
    assert isinstance(busy["pid"], int)
    assert busy["pid"] in place.processes_of_runs()
    assert busy["started_at"] is not None
    for name in ("second", "third", "other", "staged"):
        row = rows[name]
        for field in ("reason", "pid", "started_at", "finished_at", "exit_code", "log", "gpus", "scheduled_for"):
            assert row[field] is None, field
        assert (row["attempt"], row["tags"], row["params"], row["trigger"]) == (0, [], {}, "manual")
    assert rows["second"]["waiting_for"] == "queue lane is full: run 2"
    assert rows["third"]["waiting_for"] == "1 ahead of it in queue lane"
    assert rows["other"]["waiting_for"] == "all job slots are taken (1); `-j` allows more"
    assert rows["staged"]["waiting_for"] == "held; `aqueue release 6` queues it"
    assert "all job slots are taken" in place.run("ls", "--queued")


def test_a_run_that_waits_for_its_retry_says_so(place: Place) -> None:
    server = place.serve()
    place.task("flaky", "exit 3", "retries: {limit: 1, delay: 1h}")
    server.says("retry 1 of 1")
    row = place.rows()["flaky"]
    assert (row["state"], row["reason"], row["attempt"]) == ("queued", "exit code 3; retry 1 of 1", 1)
    assert re.fullmatch(r"retry in (1h|59m\d+s)", row["waiting_for"])


def test_status_has_one_row_for_the_queues_of_a_sweep(place: Place) -> None:
    place.init()
    place.path("w.yaml").write_text("command: x\nmatrix: {a: range(60)}\n---\nname: one-1\ncommand: x\n")
    place.run("enqueue", "w.yaml")
    place.run("pause", "w-7")
    rows = [line.split() for line in place.run("status").splitlines()[3:]]
    assert [row[:2] for row in rows] == [["one-1", "0"], ["w-*", "(59"], ["w-7", "0"]]
    assert rows[1][3:6] == ["0", "59", "0"]


def test_show_says_all_that_ls_does_and_the_command_and_each_attempt(place: Place) -> None:
    place.task("flaky", "echo $AQUEUE_ATTEMPT; exit $((3 - $AQUEUE_ATTEMPT))", "retries: 4", "tags: [a]")
    place.drop("words.yaml", "command: [sh, -c, 'kill -TERM $$']\nworking_dir: /\n")
    place.drain("-j", "2")
    shown = place.show("1")
    listed = place.ls()[0]
    attempts = shown.pop("attempts")
    assert shown.pop("command") == "echo $AQUEUE_ATTEMPT; exit $((3 - $AQUEUE_ATTEMPT))"
    assert shown.pop("working_dir") == str(place.base)
    assert shown.pop("asks_for") is None
    assert shown.pop("log_limit") is None
    assert [shown.pop(key) for key in ("after", "isolate", "outputs")] == [None, None, None]
    assert shown["attempt"] == 3
    assert shown == listed
    assert [list(attempt) for attempt in attempts] == [
        [
            *("number", "started_at", "finished_at", "exit_code", "signal", "reason", "gpus", "log", "checkout"),
            *("cpu_seconds", "peak_memory", "oom_kills", "oom_kills_in_group", "python"),
        ]
    ] * 3
    assert all(0 < attempt["cpu_seconds"] < 30 for attempt in attempts)
    told = [
        (attempt["number"], attempt["exit_code"], attempt["signal"], attempt["reason"]) for attempt in attempts
    ]
    assert told == [(1, 2, None, "exit code 2: 1"), (2, 1, None, "exit code 1: 2"), (3, 0, None, None)]
    words = place.show("2")
    assert (words["command"], words["working_dir"]) == (["sh", "-c", "kill -TERM $$"], "/")
    (attempt,) = words["attempts"]
    assert (attempt["exit_code"], attempt["signal"], attempt["reason"]) == (143, 15, "killed by SIGTERM")
    text = place.run("show", "1")
    for expected in ("flaky", "succeeded", "exit $((3 - $AQUEUE_ATTEMPT))", "attempt-3.log", "exit code 2", "CPU"):
        assert expected in text


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place with a run in each state, to look at only."""
    place = Place(tmp_path_factory.mktemp("busy"))
    try:
        yield with_a_run_in_each_state(place)
    finally:
        place.close()


def with_a_run_in_each_state(place: Place) -> Place:
    place.init()
    place.path("done.yaml").write_text(
        "---\n".join(
            [
                "name: good\ncommand: 'true'\ntags: [team=a]\n",
                "name: bad\ncommand: 'false'\ntags: [team=b]\nqueue: lane\n",
            ]
        )
    )
    place.run("enqueue", "done.yaml")
    place.drain()
    place.path("more.yaml").write_text(
        "---\n".join(
            [
                f"name: busy\ncommand: {place.until('go')}\n",
                "name: waits\ncommand: 'true'\nqueue: lane\ntags: [team, x]\n",
                "name: staged\ncommand: 'true'\nhold: true\n",
                "name: gone\ncommand: 'true'\nhold: true\n",
            ]
        )
    )
    place.serve()
    place.run("enqueue", "more.yaml")
    place.run("cancel", "6")
    place.becomes("busy", "running")
    return place


def test_ls_shows_what_is_asked_for(busy: Place) -> None:
    def names(*options: str) -> list[str]:
        return [row["name"] for row in busy.ls(*options)]

    assert names() == ["good", "bad", "busy", "waits", "staged", "gone"]
    assert names("--queued", "--running") == ["busy", "waits"]
    assert names("--succeeded", "--held") == ["good", "staged"]
    assert names("--failed", "--aborted") == ["bad", "gone"]
    assert names("--queue", "lane") == ["bad", "waits"]
    assert names("--queue", "lane", "--queued") == ["waits"]
    assert names("--tag", "team=a") == ["good"]
    assert names("--tag", "team") == ["good", "bad", "waits"]
    assert names("--tag", "tea") == []
    # The newest, still oldest first.
    assert names("--limit", "2") == ["staged", "gone"]
    table = busy.run("ls")
    assert [line.split()[1] for line in table.splitlines()[1:]] == list(reversed(names()))


def test_status_counts_what_each_queue_has(busy: Place) -> None:
    status: dict[str, Any] = json.loads(busy.run("status", "--json"))
    assert list(status) == [
        *("servers", "queues", "groups", "gpus", "schedules", "not_taken", "rejected", "since_midnight")
    ]
    assert status["since_midnight"] == {"succeeded": 1, "failed": 1, "aborted": 1}
    assert (status["gpus"], status["schedules"]) == ([], [])
    (server,) = status["servers"]
    assert server["pid"] in [process.pid for process in busy.processes if process.poll() is None]
    assert TIME.fullmatch(server["started_at"])
    assert TIME.fullmatch(server["heartbeat_at"])
    queues = {queue["name"]: queue for queue in status["queues"]}
    assert queues["lane"] == {
        "name": "lane",
        "max_concurrency": 1,
        "running": 0,
        "queued": 1,
        "held": 0,
        "paused": False,
        "configured": False,
    }
    assert (queues["busy"]["running"], queues["staged"]["held"]) == (1, 1)
    text = busy.run("status")
    assert f"server {server['pid']}: up for" in text
    shown = "; `aqueue ls --failed --since today` shows the failed ones"
    assert f"since midnight: 1 succeeded, 1 failed, 1 aborted{shown}\n" in text
    assert "lane" in text


def test_status_says_that_no_server_is_up_even_if_one_was_killed(place: Place) -> None:
    place.serve().kill()
    # A shell that it was just about to start may hold the lock for a moment longer.
    eventually(lambda: json.loads(place.run("status", "--json"))["servers"] == [])
    assert place.run("status").splitlines() == [
        "no server is running; `aqueue serve` starts one",
        "nothing is queued, running or held",
    ]


def test_ls_says_how_many_more_there_are_and_json_has_them_all(place: Place) -> None:
    place.init()
    place.path("many.yaml").write_text("---\n".join(["command: 'true'\n"] * 60))
    place.run("enqueue", "many.yaml")
    done = place.ask("ls")
    assert len(done.stdout.splitlines()) == 51
    assert done.stdout.splitlines()[1].startswith("60\t")
    assert done.stderr == "10 more; --limit shows them\n"
    assert [row["id"] for row in place.ls()] == list(range(1, 61))
    assert [row["id"] for row in place.ls("--limit", "2")] == [59, 60]


def test_what_people_wrote_is_shown_as_they_wrote_it(place: Place) -> None:
    place.init()
    place.task("odd", "[red]echo[/red] ${x:-[bold]} äöü ✓; false", "tags: ['[bold]=[/]']")
    server = place.serve("-v")
    server.says("failed")
    assert "[red]echo[/red]" in server.text
    assert "[red]echo[/red] ${x:-[bold]} äöü ✓; false" in place.run("show", "1")
    assert "[bold]=[/]" in place.run("show", "1")
    assert "odd" in place.run("ls")
    eventually(lambda: place.ls()[0]["tags"] == ["[bold]=[/]"])
