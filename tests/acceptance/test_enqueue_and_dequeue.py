"""`aqueue enqueue` and `aqueue dequeue`: what they take, and what becomes of runs that are taken off."""

import re
from subprocess import DEVNULL

import pytest

from tests.acceptance.driving import Place

pytestmark = pytest.mark.at_length

TRIGGERS = ("scheduler", "manual", "webhook", "subdag", "retry", "catchup")


def job(place: Place, text: str) -> None:
    place.path("job.yaml").write_text(text)


# 6. enqueue


def test_enqueue_takes_all_that_dagus_does(place: Place) -> None:
    place.init()
    job(place, "queue: own\ncommand: echo $DATE $TYPE $1 $PWD\n")
    for trigger in TRIGGERS:
        flags = ("--tags", "team=vision,nightly", "--default-working-dir", "/", "--trigger-type", trigger)
        params = ("--", "DATE=2024-01-15", "TYPE=daily", "positional")
        place.run("enqueue", "-r", f"batch-{trigger}", "-N", "other", "-u", "lane", *flags, "job.yaml", *params)
    place.run("enqueue", "--run-id=long", "--name=other", "--queue=lane", "job.yaml", "--", "DATE=1")
    place.run("enqueue", "job.yaml")
    place.task("dropped", "true")
    place.drain()
    rows = place.ls()
    assert [row["trigger"] for row in rows] == [*TRIGGERS, "manual", "manual", "file"]
    assert [row["run_id"] for row in rows[:7]] == [*(f"batch-{trigger}" for trigger in TRIGGERS), "long"]
    assert {(row["name"], row["queue"]) for row in rows[:7]} == {("other", "lane")}
    assert {tuple(row["tags"]) for row in rows[:6]} == {("team=vision", "nightly")}
    assert {place.output(row) for row in rows[:6]} == {"2024-01-15 daily positional /\n"}
    assert (rows[7]["name"], rows[7]["queue"]) == ("job", "own")
    assert len({row["run_id"] for row in rows}) == len(rows)


@pytest.mark.parametrize("option", ["-r", "-N", "-u"])
@pytest.mark.parametrize("bad", ["", " ", "a b", "../up", ".", "..", "x" * 65, "a:b", "a/b", "ä", "a\n"])
def test_names_queues_and_run_ids_are_validated(place: Place, option: str, bad: str) -> None:
    place.init()
    job(place, "command: exit 0\n")
    complaint = place.ask("enqueue", option, bad, "job.yaml")
    assert (complaint.returncode, complaint.stdout) == (2, "")
    assert "use 1 to 64 letters, digits, '_', '.' or '-'" in complaint.stderr
    assert place.ls() == []


def test_of_many_who_enqueue_the_same_run_at_once_one_succeeds(place: Place) -> None:
    place.init()
    job(place, "command: echo . >>begun\n")
    asking = [place.start("enqueue", "-r", "same", "job.yaml", stdout=DEVNULL, stderr=DEVNULL) for _ in range(5)]
    assert sorted(process.wait(20) for process in asking) == [0, 1, 1, 1, 1]
    place.drain()
    assert [row["run_id"] for row in place.ls()] == ["same"]
    assert place.lines("begun") == ["."]
    assert "there already is a run job:same" in place.refuse("enqueue", "-r", "same", "job.yaml", code=1)
    assert place.run("enqueue", "-r", "same", "-N", "another", "job.yaml") == "2\n"


# 7. dequeue


def queue_in_lane(place: Place, count: int) -> None:
    job(place, "queue: lane\ncommand: echo $AQUEUE_RUN_ID >>begun\n")
    for number in range(1, count + 1):
        place.run("enqueue", "-r", f"r{number}", "job.yaml")


def test_dequeue_removes_the_first_or_the_one_named_altogether(place: Place) -> None:
    place.init()
    queue_in_lane(place, 4)
    assert place.run("dequeue", "lane") == "1 job:r1\n"
    assert place.run("dequeue", "lane", "-d", "job:r3") == "3 job:r3\n"
    assert [row["run_id"] for row in place.ls()] == ["r2", "r4"]
    for run in ("1", "job:r3"):
        assert "there is no run" in place.refuse("show", run, code=1)
    place.run("enqueue", "-r", "r1", "job.yaml")
    place.drain()
    assert place.lines("begun") == ["r2", "r4", "r1"]


def test_dequeue_keeps_a_run_that_had_attempts_as_aborted_with_all_of_them(place: Place) -> None:
    server = place.serve()
    job(place, "queue: lane\ncommand: echo out; exit 3\nretries: {limit: 1, delay: 1h}\n")
    place.run("enqueue", "-r", "r1", "job.yaml")
    server.says("retry 1 of 1")
    before = place.show("1")["attempts"]
    place.run("dequeue", "lane")
    row = place.show("1")
    assert (row["state"], row["reason"]) == ("aborted", "dequeued")
    assert row["attempts"] == before
    assert place.run("logs", "1") == "out\n"
    assert "no queued runs in queue 'lane'" in place.refuse("dequeue", "lane", code=1)
    assert "aborted" in place.refuse("dequeue", "lane", "-d", "job:r1", code=1)


def test_dequeue_of_what_is_not_queued_there_is_refused_and_changes_nothing(place: Place) -> None:
    place.init()
    queue_in_lane(place, 1)
    held = place.add("true", "-u", "lane", "--hold", "-n", "held")
    running = place.add(f"touch up; {place.until('go')}", "-u", "busy", "-n", "busy")
    place.serve("--queue", "busy")
    place.appears("up")
    before = place.ls()
    for queue, run, why in (
        ("nowhere", None, "there is no queue nowhere"),
        ("busy", None, "no queued runs in queue 'busy'"),
        ("lane", "job:r9", "there is no run 'job:r9'"),
        ("other", "job:r1", "is not in queue other"),
        ("busy", running, "is running"),
        ("lane", held, "is held"),
    ):
        assert why in place.refuse("dequeue", queue, *(("-d", run) if run else ()), code=1)
    assert place.ls() == before
    place.path("go").touch()


@pytest.mark.parametrize("crash", [False, True])
def test_a_dropped_file_whose_run_is_dequeued_does_not_come_back(place: Place, crash: bool) -> None:
    place.drop("aqueue.yaml", "queues:\n  config:\n    - {name: lane, paused: true}\n")
    server = place.serve()
    place.drop("lane/two.yaml", "name: one\ncommand: echo 1 >>begun\n---\nname: two\ncommand: echo 2 >>begun\n")
    server.says("accepted", times=2)
    place.run("dequeue", "lane")
    if crash:
        server.kill()
        server = place.serve()
    assert [row["name"] for row in place.ls()] == ["two"]
    place.drop("aqueue.yaml", "{}\n")
    place.becomes("two", "succeeded")
    assert place.lines("begun") == ["2"]


def test_dequeue_while_two_servers_are_busy_takes_off_each_run_or_lets_it_run(place: Place) -> None:
    place.drop("aqueue.yaml", "queues:\n  config:\n    - {name: lane, max_concurrency: 4}\n")
    names = [f"n{number}" for number in range(150)]
    for name in names:
        place.task(f"lane/{name}", "echo $AQUEUE_NAME >>begun; sleep 0.02")
    servers = [place.serve("--drain", wait=False) for _ in range(2)]
    taken = []
    while any(server.process.poll() is None for server in servers):
        done = place.ask("dequeue", "lane")
        assert done.returncode == (0 if done.stdout else 1)
        taken += re.findall(r"^\d+ (n\d+):", done.stdout)
    assert taken
    assert sorted(place.lines("begun") + taken) == sorted(names)
    assert {row["name"] for row in place.ls("--succeeded")} == set(place.lines("begun"))
