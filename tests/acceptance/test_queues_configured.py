"""Queues that are configured, also as Dagu writes them: limits, priorities, and what disables them."""

import json
from collections import Counter

import pytest

from tests.acceptance.driving import Place, Row
from tests.waiting import eventually

pytestmark = pytest.mark.at_length

PAGE = """\
# ~/.config/dagu/config.yaml
queues:
  enabled: true
  config:
    - name: "critical"
      max_concurrency: 5
    - name: "batch"
      max_concurrency: 1
    - name: "reporting"
      max_concurrency: 3
"""
OLD_NAME = "queues:\n  config:\n    - {name: lane, max_concurrency: 1, max_active_runs: 2}\n"


def drop_waiting(place: Place, queue: str, count: int) -> None:
    """Drop runs that last until there is a file `go`."""
    for number in range(count):
        place.task(f"{queue}/{queue}-{number}", f"echo {queue} >>begun; {place.until('go')}")


def job(place: Place, text: str, name: str = "job.yaml") -> None:
    place.path(name).write_text(text)


def queues(place: Place) -> dict[str, Row]:
    return {queue["name"]: queue for queue in json.loads(place.run("status", "--json"))["queues"]}


def running(place: Place, queue: str) -> int:
    return len(place.ls("--running", "--queue", queue))


# 1. queues.config


def test_dagus_own_yaml_works_unchanged(place: Place) -> None:
    place.drop("aqueue.yaml", PAGE)
    assert place.run("check", "queue/aqueue.yaml") == "queue/aqueue.yaml: the configuration is valid\n"
    server = place.serve("-j", "1")
    for queue, slots in (("critical", 5), ("batch", 1), ("reporting", 3)):
        drop_waiting(place, queue, slots + 1)
    eventually(lambda: Counter(place.lines("begun")) == {"critical": 5, "batch": 1, "reporting": 3})
    eventually(lambda: all(queue["queued"] == 1 for queue in queues(place).values()))
    assert {name: queue["max_concurrency"] for name, queue in queues(place).items()} == {
        "critical": 5,
        "batch": 1,
        "reporting": 3,
    }
    assert "warning" not in server.text
    place.path("go").touch()
    place.run("wait")


def test_max_active_runs_wins_over_max_concurrency_with_one_warning(place: Place) -> None:
    place.drop("aqueue.yaml", OLD_NAME)
    server = place.serve()
    drop_waiting(place, "lane", 3)
    eventually(lambda: len(place.lines("begun")) == 2)
    eventually(lambda: queues(place)["lane"]["queued"] == 1)
    assert (queues(place)["lane"]["max_concurrency"], running(place, "lane")) == (2, 2)
    assert server.text.count("max_active_runs is the old name of max_concurrency") == 1
    place.path("go").touch()
    place.run("wait")


# 2. enabled: false


@pytest.mark.parametrize(
    ("configuration", "variables", "why"),
    [
        ("queues: {enabled: false}\n", {}, "enabled: false in aqueue.yaml"),
        ("queues: {enabled: true}\n", {"AQUEUE_QUEUE_ENABLED": "false"}, "AQUEUE_QUEUE_ENABLED=false"),
    ],
    ids=["file", "variable"],
)
def test_where_queues_are_disabled_nothing_is_taken_and_nothing_is_lost(
    place: Place, configuration: str, variables: dict[str, str], why: str
) -> None:
    place.init()
    early = place.add("echo early >>begun")
    job(place, "command: echo enqueued >>begun\n")
    place.drop("aqueue.yaml", configuration)
    server = place.serve(env=variables)
    for arguments in (("add", "--", "true"), ("enqueue", "job.yaml")):
        assert why in place.refuse(*arguments, code=1, env=variables)
    for number in range(3):
        place.task(f"dropped-{number}", f"echo {number} >>begun")
    server.says(why)
    place.drop("bad.yaml", "commnd: x\n")
    assert [row["id"] for row in place.ls("--queued")] == [int(early)]
    assert server.text.count(why) == 1
    assert {path.name for path in place.folder.glob("*.yaml")} == {
        "aqueue.yaml",
        "bad.yaml",
        *(f"dropped-{number}.yaml" for number in range(3)),
    }
    if variables:
        server.kill()
        server = place.serve()
    else:
        place.drop("aqueue.yaml", "queues: {enabled: true}\n")
    eventually(lambda: sorted(place.lines("begun")) == ["0", "1", "2", "early"])
    server.says("bad.yaml")
    place.run("enqueue", "job.yaml")
    place.run("wait")
    assert place.lines("begun")[-1] == "enqueued"


def test_the_variable_goes_before_the_file(place: Place) -> None:
    place.init()
    place.drop("aqueue.yaml", "queues: {enabled: false}\n")
    enabled = {"AQUEUE_QUEUE_ENABLED": "true"}
    place.serve(env=enabled)
    assert place.run("add", "--", "echo done >>begun", env=enabled) == "1\n"
    place.run("wait", "1")


def test_what_runs_when_queues_are_disabled_goes_on_and_what_waits_says_why(place: Place) -> None:
    server = place.serve()
    for name in ("first", "second"):
        place.task(f"lane/{name}", f"echo {name} >>begun; {place.until('go')}")
    server.says("accepted", times=2)
    place.drop("aqueue.yaml", "queues: {enabled: false}\n")
    place.appears("begun")
    eventually(lambda: "disabled" in place.rows()["second"]["waiting_for"])
    assert "queues are disabled (enabled: false in aqueue.yaml)" in place.run("status")
    place.path("go").touch()
    place.becomes("first", "succeeded")
    (place.folder / "aqueue.yaml").write_text("{}\n")
    place.becomes("second", "succeeded")
    assert place.lines("begun") == ["first", "second"]


# 4. first in first out, with two priorities


def test_high_goes_before_low_and_then_first_in_first_out_over_two_servers(place: Place) -> None:
    place.init()
    place.drop("aqueue.yaml", "queues:\n  config:\n    - {name: lane, max_concurrency: 1}\n")
    for name, priority in (("a", "low"), ("b", "high"), ("c", "low"), ("d", "high")):
        job(place, f"queue: lane\npriority: {priority}\ncommand: echo {name} >>begun\n", f"{name}.yaml")
    place.run("enqueue", "--trigger-type", "catchup", "a.yaml")
    place.run("enqueue", "b.yaml")
    place.run("enqueue", "--priority", "high", "c.yaml")
    place.run("enqueue", "--priority", "low", "d.yaml")
    place.add("echo e >>begun", "-u", "lane")
    place.add("echo f >>begun", "-u", "lane", "--priority", "high")
    assert [row["priority"] for row in place.ls()] == ["low", "high", "high", "low", "low", "high"]
    servers = [place.serve("--drain", wait=False) for _ in range(2)]
    assert [server.ends() for server in servers] == [0, 0]
    assert place.lines("begun") == ["b", "c", "f", "a", "d", "e"]


# 5. queues that nobody configured


@pytest.mark.parametrize("queue", [None, "nowhere"], ids=["local queue", "queue nobody configured"])
def test_a_queue_that_is_not_configured_runs_one_at_a_time_on_two_servers(place: Place, queue: str | None) -> None:
    servers = [place.serve("-j", "4"), place.serve("-j", "4")]
    job(place, f"command: echo . >>begun; {place.until('go')}\n" + (f"queue: {queue}\n" if queue else ""))
    for _ in range(3):
        place.run("enqueue", "job.yaml")
    name = queue or "job"
    place.appears("begun")
    assert (running(place, name), len(place.ls("--queued"))) == (1, 2)
    assert (queues(place)[name]["configured"], queues(place)[name]["max_concurrency"]) == (False, 1)
    assert "1 (not configured)" in place.run("status")
    assert place.lines("begun") == ["."]
    place.path("go").touch()
    place.run("wait")
    assert len(servers) == 2
    assert place.lines("begun") == ["."] * 3


# 8. queue_dir


def test_dir_and_the_variable_are_what_queue_dir_is(place: Place) -> None:
    place.init()
    elsewhere = place.path("else where")
    place.run("init", str(elsewhere))
    for options, env in ((("--dir", str(elsewhere)), {}), ((), {"AQUEUE_DIR": str(elsewhere)})):
        place.run("add", *options, "--", "true", env=env)
    assert len(json.loads(place.run("ls", "--json", "--dir", str(elsewhere)))) == 2
    assert place.ls() == []
    (elsewhere / "aqueue.yaml").write_text("jobs: 1\npaths:\n  queue_dir: /somewhere\n")
    complaint = place.refuse("serve", "--dir", str(elsewhere), code=2)
    assert "aqueue.yaml:2:1: unknown key 'paths'" in complaint
    assert "--dir or AQUEUE_DIR" in complaint
