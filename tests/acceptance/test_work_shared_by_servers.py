"""Several servers share the work: staging, `wait_for_running`, listing and stopping."""

import json
from collections import Counter

import pytest

from tests.acceptance.background import asleep
from tests.acceptance.driving import Place
from tests.waiting import eventually

pytestmark = pytest.mark.at_length

STATES = ("succeeded", "failed", "aborted", "running", "queued", "held")
NOTED = 'echo "begin $AQUEUE_NAME" >>noted; sleep 0.01; echo "end $AQUEUE_NAME" >>noted'


def stage(place: Place, count: int, *lines: str, command: str = NOTED) -> list[str]:
    """Queue so many runs that note when they begin and end; returns their names."""
    names = [f"t{number}" for number in range(count)]
    tasks = ["\n".join((f"name: {name}", f"command: {json.dumps(command)}", *lines)) for name in names]
    place.path("staged.yaml").write_text("\n---\n".join(tasks))
    place.run("enqueue", "staged.yaml")
    return names


def began(place: Place) -> list[str]:
    return [line.removeprefix("begin ") for line in place.lines("noted") if line.startswith("begin ")]


def most_at_a_time(place: Place) -> int:
    running = most = 0
    for line in place.lines("noted"):
        running += 1 if line.startswith("begin ") else -1
        most = max(most, running)
    assert running == 0
    return most


def test_what_was_queued_while_no_server_is_up_starts_in_the_order_staged(place: Place) -> None:
    place.init()
    place.path("filed.yaml").write_text("command: echo filed >>order\n")
    place.add("echo one >>order", "-n", "zebra")
    place.run("enqueue", "filed.yaml")
    place.add("echo two >>order", "-n", "ant", "-u", "lane")
    place.add("echo three >>order", "-n", "mole")
    place.add("echo first >>order", "--priority", "high")
    place.drain()
    assert place.lines("order") == ["first", "one", "filed", "two", "three"]


def test_files_that_were_dropped_while_no_server_is_up_start_in_the_order_they_came(place: Place) -> None:
    place.init()
    names = ["m", "z", "a", "k"]
    for name in names:
        place.task(name, f"echo {name} >>order")
    place.drain()
    assert place.lines("order") == names


def test_a_held_run_waits_for_its_release_and_then_has_its_place_in_line_again(place: Place) -> None:
    place.init()
    ids = [place.add(f"echo {number} >>order", "-u", "lane") for number in range(4)]
    place.run("hold", ids[0], ids[2])
    held = place.add("echo held >>order", "-u", "lane", "--hold")
    place.run("release", ids[2])
    place.drain()
    assert place.lines("order") == ["1", "2", "3"]
    server = place.serve()
    place.run("release", held, ids[0])
    place.run("wait")
    assert sorted(place.lines("order")) == ["0", "1", "2", "3", "held"]
    server.says("succeeded", times=2)


def test_two_servers_share_the_work_exactly_once_each_within_the_limit_over_both(place: Place) -> None:
    place.drop("aqueue.yaml", "queues: {config: [{name: lane, max_concurrency: 3}]}\n")
    second = place.serve()
    place.task("first", place.until("go"), "queue: lane")
    place.becomes("first", "running")
    # Whoever ends a run starts the next one: so that both have slots, one takes its own while the other sleeps.
    with asleep(place, second.process.pid):
        first = place.serve()
        names = stage(place, 200, "queue: lane")
        first.says(" started ", times=2)
    place.path("go").touch()
    place.run("wait", "-q")
    assert Counter(began(place)) == Counter(names)
    assert most_at_a_time(place) == 3
    assert {(row["state"], row["attempt"]) for row in place.ls()} == {("succeeded", 1)}
    eventually(lambda: (first.text + second.text).count(" succeeded ") == 201)
    assert min(first.text.count(" started "), second.text.count(" started ")) > 10


def test_jobs_are_each_servers_own_and_a_queue_nobody_configured_has_one_slot_over_all(place: Place) -> None:
    for _ in range(2):
        place.serve("-j", "2")
    begun = f"echo $AQUEUE_QUEUE >>begun; {place.until('go')}"
    for _ in range(2):
        place.add(begun, "-u", "shared")
    for _ in range(4):
        place.add(begun)
    eventually(lambda: len(place.lines("begun")) == 4)
    states = Counter((row["queue"] == "shared", row["state"]) for row in place.ls())
    assert states == {(True, "running"): 1, (True, "queued"): 1, (False, "running"): 3, (False, "queued"): 1}
    place.path("go").touch()
    place.run("wait")


def test_what_one_server_ends_lets_the_other_start(place: Place) -> None:
    place.drop("aqueue.yaml", "queues: {config: [{name: lane}]}\n")
    first = place.serve()
    place.task("a", place.until("go"), "queue: lane")
    place.becomes("a", "running")
    second = place.serve()
    place.task("b", "touch ran", "queue: lane")
    place.becomes("b", "queued")
    first.process.terminate()
    first.says("waiting for 1 run")
    place.path("go").touch()
    place.appears("ran")
    assert first.ends() == 0
    second.says("succeeded 2 b")


def test_a_server_that_is_killed_leaves_its_share_to_the_other_exactly_once_each(place: Place) -> None:
    place.drop(
        "aqueue.yaml", "heartbeat: {interval: 0.1s}\nqueues: {config: [{name: lane, max_concurrency: 4}]}\n"
    )
    first = place.serve()
    patient = NOTED.replace("sleep 0.01", place.until("go"))
    names = stage(place, 60, "queue: lane", command=patient)
    eventually(lambda: len(began(place)) == 4)
    second = place.serve()
    first.kill()
    second.says(" adopted ", times=4)
    place.path("go").touch()
    place.run("wait", "-q")
    assert Counter(began(place)) == Counter(names)
    assert most_at_a_time(place) <= 4
    assert {(row["state"], row["attempt"]) for row in place.ls()} == {("succeeded", 1)}


@pytest.mark.parametrize("options", [("--queue", "a", "--queue", "b"), ("--queue", "a,b")])
def test_a_server_of_some_queues_serves_only_these(place: Place, options: tuple[str, ...]) -> None:
    place.drop("aqueue.yaml", "queues: {config: [{name: a}, {name: c}]}\n")
    server = place.serve("-j", "9", *options)
    for queue in ("c", "other", "a", "b"):
        place.task(f"{queue}/of-{queue}", f"echo {queue} >>ran")
    place.becomes("of-a", "succeeded")
    place.becomes("of-b", "succeeded")
    assert {name: row["state"] for name, row in place.rows().items() if row["state"] != "succeeded"} == {
        "of-c": "queued",
        "of-other": "queued",
    }
    assert "only a, b" in place.run("status")
    place.serve("--queue", "c", "--queue", "other")
    place.run("wait")
    assert sorted(place.lines("ran")) == ["a", "b", "c", "other"]
    assert server.text.count(" started ") == 2


def test_a_server_of_some_queues_drains_when_these_are_empty(place: Place) -> None:
    place.init()
    place.add("touch ran", "-u", "mine")
    place.add("touch not", "-u", "other")
    place.drain("--queue", "mine")
    assert place.path("ran").exists()
    assert not place.path("not").exists()


def test_a_queue_that_waits_for_running_starts_only_when_nothing_else_runs_anywhere(place: Place) -> None:
    place.drop("aqueue.yaml", "queues: {config: [{name: alone, max_concurrency: 3, wait_for_running: true}]}\n")
    for options in ((), ("--queue", "other")):
        place.serve("-j", "2", *options)
    place.task("o", place.until("o-ends"), "queue: other")
    place.becomes("o", "running")
    for name in ("a1", "a2"):
        place.task(name, f"echo {name} >>begun; {place.until(f'{name}-ends')}", "queue: alone")
        place.becomes(name, "queued")
    place.task("free", "true")
    place.becomes("free", "succeeded")
    assert place.lines("begun") == []
    place.path("o-ends").touch()
    place.becomes("a1", "running")
    # The others start beside it: only its own start was held back.
    place.task("p", place.until("p-ends"), "queue: other")
    place.becomes("p", "running")
    place.path("a1-ends").touch()
    place.becomes("a1", "succeeded")
    assert place.rows()["a2"]["state"] == "queued"
    place.path("p-ends").touch()
    place.becomes("a2", "running")
    place.path("a2-ends").touch()
    place.run("wait")
    assert place.lines("begun") == ["a1", "a2"]


def test_two_servers_that_decide_at_the_same_moment_never_start_two_that_wait_for_running(place: Place) -> None:
    queues = ", ".join(f"{{name: {name}, max_concurrency: 5, wait_for_running: true}}" for name in ("x", "y"))
    place.init()
    place.drop("aqueue.yaml", f"queues: {{config: [{queues}]}}\n")
    for queue in ("x", "y"):
        stage(place, 30, f"queue: {queue}", f"tags: [{queue}]")
    for queue in ("x", "y"):
        place.serve("--queue", queue, wait=False)
    place.run("wait", "-q")
    assert len(began(place)) == 60
    assert most_at_a_time(place) == 1


def test_ls_shows_the_runs_of_each_state_and_of_several(place: Place) -> None:
    place.init()
    place.add("true", "-n", "succeeded")
    place.add("false", "-n", "failed")
    place.run("cancel", place.add("true", "-n", "aborted"))
    place.drain()
    place.serve()
    place.add(place.until("go"), "-n", "running")
    place.becomes("running", "running")
    place.add("true", "-n", "queued")
    place.add("true", "-n", "held", "--hold")
    assert {row["name"]: row["state"] for row in place.ls()} == {state: state for state in STATES}
    for state in STATES:
        assert [(row["name"], row["state"]) for row in place.ls(f"--{state}")] == [(state, state)]
    assert [row["name"] for row in place.ls("--queued", "--running", "--held")] == ["running", "queued", "held"]


def test_cancel_stops_what_runs_on_any_server_and_takes_what_is_queued_off(place: Place) -> None:
    for queue in ("x", "y"):
        place.serve("--queue", queue)
        place.task(f"{queue}-runs", place.until("never"), f"queue: {queue}")
        place.becomes(f"{queue}-runs", "running")
        place.task(f"{queue}-waits", "touch ran", f"queue: {queue}")
        place.becomes(f"{queue}-waits", "queued")
    place.run("cancel", *(str(row["id"]) for row in place.ls("--queued")))
    place.run("cancel", *(str(row["id"]) for row in place.ls("--running")))
    for name in ("x-runs", "y-runs", "x-waits", "y-waits"):
        row = place.becomes(name, "aborted")
        assert (row["reason"], row["attempt"]) == ("cancelled", int(name.endswith("runs")))
    assert place.processes_of_runs() == []
    assert not place.path("ran").exists()
