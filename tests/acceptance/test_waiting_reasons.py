"""Every waiting run says what it waits for, in `ls`, in `show` and in their JSON."""

import pytest

from tests.acceptance.background import asleep
from tests.acceptance.driving import Place, Server
from tests.waiting import eventually

pytestmark = pytest.mark.at_length

LANES = """\
queues:
  config:
    - {name: lane, max_concurrency: 2}
    - {name: alone, wait_for_running: true}
    - {name: shut, paused: true}
heartbeat: {interval: 0.1s, stale_after: 0.5s}
"""
NO_SERVER = "no server is running; `aqueue serve` starts one"


def waits_for(place: Place, name: str) -> str:
    """Return the reason that the only run of that name waits, everywhere the same; empty for none."""
    row = place.rows()[name]
    waiting_for = row["waiting_for"] or ""
    shown = "waiting      " + waiting_for.removeprefix("waits ")
    assert (shown in place.run("show", str(row["id"]))) is bool(waiting_for)
    assert waiting_for in place.run("ls", f"--{row['state']}")
    return waiting_for


def run(place: Place, name: str, *lines: str) -> int:
    """Have a run running until there is a file of its name; returns its id."""
    place.task(name, place.until(name), *lines)
    row = place.becomes(name, "running")
    return int(row["id"])


def serve(place: Place, *options: str) -> Server:
    place.drop("aqueue.yaml", LANES)
    return place.serve(*options)


def test_for_a_release(place: Place) -> None:
    place.init()
    id_ = place.add("true", "-n", "a", "--hold")
    assert waits_for(place, "a") == f"held; `aqueue release {id_}` queues it"
    assert place.show(id_)["waiting_for"] == waits_for(place, "a")
    place.run("release", id_)
    assert waits_for(place, "a") == NO_SERVER


def test_for_a_server(place: Place) -> None:
    place.init()
    place.add("true", "-n", "a")
    assert waits_for(place, "a") == NO_SERVER
    place.drain()
    assert waits_for(place, "a") == ""


def test_for_a_server_when_the_only_one_is_leaving(place: Place) -> None:
    server = serve(place)
    run(place, "long")
    place.add("true", "-n", "a")
    server.process.terminate()
    server.says("waiting for 1 run")
    leaving = f"server {server.process.pid} is stopping; `aqueue serve` starts another"
    eventually(lambda: place.rows()["a"]["waiting_for"] == leaving)
    assert waits_for(place, "a") == leaving
    place.path("long").touch()


def test_for_a_server_of_its_queue(place: Place) -> None:
    serve(place, "--queue", "lane")
    place.add("true", "-n", "a", "-u", "other")
    assert waits_for(place, "a") == "no server serves queue other; `aqueue serve` starts one"


def test_for_a_server_that_gives_no_sign_of_life(place: Place) -> None:
    server = serve(place)
    with asleep(place, server.process.pid):
        place.add("true", "-n", "a")
        eventually(lambda: "not responding" in place.run("status"))
        assert "not responding" in waits_for(place, "a")
    place.becomes("a", "succeeded")


def test_for_queues_to_be_enabled(place: Place) -> None:
    place.init()
    place.add("true", "-n", "a")
    place.drop("aqueue.yaml", "queues: {enabled: false}\n")
    place.serve()
    assert waits_for(place, "a") == "queues are disabled: enabled: false in aqueue.yaml"
    place.drop("aqueue.yaml", "queues: {enabled: true}\n")
    place.becomes("a", "succeeded")


def test_for_queues_to_be_enabled_in_the_environment_of_the_server(place: Place) -> None:
    place.init()
    place.add("true", "-n", "a")
    place.serve(env={"AQUEUE_QUEUE_ENABLED": "false"})
    assert "disabled" in waits_for(place, "a")


def test_for_its_queue_to_be_resumed(place: Place) -> None:
    serve(place)
    place.run("pause", "mine")
    place.add("true", "-n", "a", "-u", "mine")
    assert waits_for(place, "a") == "queue mine is paused; `aqueue resume mine` resumes it"
    place.add("true", "-n", "b", "-u", "shut")
    assert waits_for(place, "b") == "queue shut is paused in aqueue.yaml"


def test_for_its_next_try(place: Place) -> None:
    serve(place)
    place.task("a", "false", "retries: {limit: 1, delay: 2d}")
    eventually(lambda: place.rows().get("a", {}).get("waiting_for") == "retry in 1d23h")
    assert waits_for(place, "a") == "retry in 1d23h"


def test_for_its_place_in_line_whatever_its_number(place: Place) -> None:
    serve(place)
    busy = [run(place, name, "queue: lane") for name in ("long", "longer")]
    for name, priority in (("a", "low"), ("b", "low"), ("c", "high")):
        place.add("true", "-n", name, "-u", "lane", "--priority", priority)
    assert waits_for(place, "c") == f"queue lane is full: runs {busy[0]}, {busy[1]}"
    assert waits_for(place, "a") == "1 ahead of it in queue lane"
    assert waits_for(place, "b") == "2 ahead of it in queue lane"
    for name in ("long", "longer"):
        place.path(name).touch()


@pytest.mark.parametrize(("queue", "word"), [("mine", "run"), ("lane", "runs")])
def test_for_a_slot_of_its_queue(place: Place, queue: str, word: str) -> None:
    serve(place, "-j", "9")
    names = ["long"] if queue == "mine" else ["long", "longer"]
    busy = ", ".join(str(run(place, name, f"queue: {queue}")) for name in names)
    place.add("true", "-n", "a", "-u", queue)
    assert waits_for(place, "a") == f"queue {queue} is full: {word} {busy}"
    for name in names:
        place.path(name).touch()
    place.becomes("a", "succeeded")


def test_for_one_of_the_jobs_of_the_servers_that_serve_it(place: Place) -> None:
    serve(place)
    run(place, "long")
    place.add("true", "-n", "a")
    assert waits_for(place, "a") == "all job slots are taken (1); `-j` allows more"
    place.serve("--queue", "other")
    assert waits_for(place, "a") == "all job slots are taken (1); `-j` allows more"
    place.run("start", "-j", "2")
    place.becomes("a", "succeeded")
    place.path("long").touch()


def test_for_all_that_runs_in_any_queue(place: Place) -> None:
    serve(place)
    place.serve("--queue", "lane")
    busy = run(place, "long", "queue: lane")
    place.add("true", "-n", "a", "-u", "alone")
    assert waits_for(place, "a") == f"queue alone waits until nothing else is running: run {busy}"
    place.path("long").touch()
    place.becomes("a", "succeeded")


def test_what_runs_or_is_over_waits_for_nothing(place: Place) -> None:
    serve(place)
    run(place, "a")
    assert waits_for(place, "a") == ""
    place.path("a").touch()
    place.becomes("a", "succeeded")
    assert waits_for(place, "a") == ""


def test_reasons_come_in_the_order_in_which_they_can_be_lifted(place: Place) -> None:
    serve(place)
    place.run("pause", "lane")
    for name in ("a", "b"):
        place.add(place.until("go"), "-n", name, "-u", "lane")
    place.run("hold", str(place.rows()["b"]["id"]))
    assert waits_for(place, "b").startswith("held; ")
    place.run("release", str(place.rows()["b"]["id"]))
    assert waits_for(place, "b").startswith("queue lane is paused; ")
    place.run("resume", "lane")
    place.becomes("b", "running")
    place.path("go").touch()
