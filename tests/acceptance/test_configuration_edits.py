"""A saved edit takes effect at once, a pause lasts, and no start delays another queue."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.driving import Place
from tests.waiting import eventually

pytestmark = pytest.mark.at_length

PAUSED = "    - {name: later, paused: true}\n"
UNCHANGED = "the configuration stays as it was"


def slots(number: int, more: str = "") -> str:
    return f"queues:\n  config:\n    - {{name: lane, max_concurrency: {number}}}\n{more}"


def begun(place: Place, count: int) -> None:
    eventually(lambda: len(place.lines("begun")) == count, 5)


def waiting_runs(place: Place, count: int, queue: str = "lane") -> None:
    """Drop runs that say that they have begun, and end when the file `go` or their own is there."""
    end = 'until [ -e go ] || [ -e "end-$AQUEUE_NAME" ]; do sleep 0.02; done'
    for number in range(count):
        place.task(f"{queue}/{queue}-{number}", f"echo $AQUEUE_NAME >>begun; {end}")


def by_rename(path: Path, text: str) -> None:
    draft = path.parent.parent / "draft"
    draft.write_text(text)
    draft.rename(path)


def as_vim_does(path: Path, text: str) -> None:
    backup = path.with_name("aqueue.yaml~")
    path.rename(backup)
    path.write_text(text)
    backup.unlink()


def slowly_in_place(path: Path, text: str) -> None:
    with path.open("w") as file:
        for piece in text.splitlines(keepends=True):
            file.write(piece)
            file.flush()
            time.sleep(0.15)


def in_place_while_another_reads(path: Path, text: str) -> None:
    with path.open():
        path.write_text(text)


def emptied_and_rewritten(path: Path, text: str) -> None:
    path.write_text("")
    time.sleep(0.1)
    path.write_text(text)


def half_and_then_whole(path: Path, text: str) -> None:
    path.write_text(text[: text.index("max_conc")])
    time.sleep(0.1)
    path.write_text(text)


def removed_and_rewritten(path: Path, text: str) -> None:
    path.unlink()
    time.sleep(0.1)
    path.write_text(text)


WAYS = (
    by_rename,
    as_vim_does,
    slowly_in_place,
    in_place_while_another_reads,
    emptied_and_rewritten,
    half_and_then_whole,
    removed_and_rewritten,
)


@pytest.mark.parametrize("save", WAYS, ids=lambda way: way.__name__)
def test_a_saved_edit_takes_effect_at_once_however_it_is_saved(
    place: Place, save: Callable[[Path, str], None]
) -> None:
    place.drop("aqueue.yaml", slots(1, PAUSED))
    server = place.serve()
    waiting_runs(place, 1, "later")
    waiting_runs(place, 4)
    begun(place, 1)
    save(place.folder / "aqueue.yaml", slots(3, PAUSED))
    begun(place, 3)
    assert UNCHANGED not in server.text
    assert place.rows()["later-0"]["state"] == "queued"
    place.path("go").touch()
    place.becomes("lane-3", "succeeded")


@pytest.mark.parametrize("save", [by_rename, as_vim_does], ids=lambda way: way.__name__)
def test_an_edit_of_what_a_linked_configuration_leads_to_takes_effect_at_once(
    place: Place, save: Callable[[Path, str], None]
) -> None:
    place.init()
    target = place.path("dotfiles/queues/real.yaml")
    target.parent.mkdir(parents=True)
    target.write_text(slots(1))
    (place.folder / "aqueue.yaml").symlink_to("../dotfiles/queues/real.yaml")
    place.serve()
    waiting_runs(place, 3)
    begun(place, 1)
    save(target, slots(3))
    begun(place, 3)
    place.path("go").touch()


def test_two_servers_take_up_the_same_edit(place: Place) -> None:
    place.drop("aqueue.yaml", slots(1))
    servers = [place.serve("--queue", "lane"), place.serve("--queue", "other")]
    waiting_runs(place, 3)
    waiting_runs(place, 3, "other")
    begun(place, 2)
    by_rename(place.folder / "aqueue.yaml", slots(3, "    - {name: other, max_concurrency: 3}\n"))
    begun(place, 6)
    assert all("error" not in server.text for server in servers)
    place.path("go").touch()
    place.run("wait")


def test_lowering_never_kills_a_run_and_the_count_drains(place: Place) -> None:
    place.drop("aqueue.yaml", slots(3))
    place.serve()
    waiting_runs(place, 5)
    begun(place, 3)
    place.drop("aqueue.yaml", slots(1))
    eventually(lambda: "is full" in place.rows()["lane-3"]["waiting_for"])
    for number in (0, 1):
        place.path(f"end-lane-{number}").touch()
        place.becomes(f"lane-{number}", "succeeded")
    assert [row["state"] for row in place.ls()] == ["succeeded"] * 2 + ["running"] + ["queued"] * 2
    place.path("end-lane-2").touch()
    begun(place, 4)
    place.path("go").touch()
    place.run("wait")
    assert {row["state"] for row in place.ls()} == {"succeeded"}


def test_jobs_go_up_and_down_with_the_file_and_status_says_so(place: Place) -> None:
    place.drop("aqueue.yaml", "jobs: 1\n")
    place.serve()
    for queue in ("a", "b", "c"):
        waiting_runs(place, 1, queue)
    begun(place, 1)
    place.drop("aqueue.yaml", "jobs: 2\n")
    begun(place, 2)
    place.drop("aqueue.yaml", "jobs: 1\n")
    eventually(lambda: "up to 1 run at a time" in place.run("status"))
    place.path("end-a-0").touch()
    place.becomes("a-0", "succeeded")
    assert place.rows()["c-0"]["waiting_for"].startswith("all job slots are taken (1)")
    place.path("end-b-0").touch()
    begun(place, 3)
    place.path("go").touch()


def test_lowered_jobs_are_not_raised_again_by_a_bell_that_rings_meanwhile(place: Place) -> None:
    server = place.serve()
    (bell,) = place.state.glob("bell*")
    for _ in range(100):
        for jobs in (8, 1):
            place.drop("aqueue.yaml", f"jobs: {jobs}\n")
            for _ in range(10):
                bell.write_bytes(b"")
                time.sleep(0.001)
    eventually(lambda: "up to 1 run at a time" in place.run("status"), 5)
    assert "at a time now" not in server.text


@pytest.mark.parametrize("command", ["rm aqueue.yaml", "mv aqueue.yaml aside"])
def test_a_removed_configuration_is_the_default_one_at_once(place: Place, command: str) -> None:
    place.drop("aqueue.yaml", slots(1, PAUSED))
    server = place.serve()
    waiting_runs(place, 1, "later")
    server.says("accepted")
    subprocess.run(["sh", "-c", command], cwd=place.folder, check=True)
    begun(place, 1)
    place.path("go").touch()


def test_a_queue_that_is_configured_no_more_keeps_what_runs_and_starts_one_at_a_time(place: Place) -> None:
    place.drop("aqueue.yaml", slots(2))
    place.serve()
    waiting_runs(place, 3)
    begun(place, 2)
    place.drop("aqueue.yaml", "jobs: 4\n")
    eventually(lambda: "up to 4 runs at a time" in place.run("status"))
    place.path("end-lane-0").touch()
    place.becomes("lane-0", "succeeded")
    assert [place.rows()[f"lane-{number}"]["state"] for number in (1, 2)] == ["running", "queued"]
    place.path("end-lane-1").touch()
    begun(place, 3)
    place.path("go").touch()


def test_an_invalid_edit_is_reported_once_with_its_place_and_the_old_one_stays_in_force(place: Place) -> None:
    place.drop("aqueue.yaml", slots(2))
    server = place.serve()
    invalid = slots(2).replace("max_concurrency", "max_concurency")
    place.drop("aqueue.yaml", invalid)
    server.says(UNCHANGED)
    assert "queue/aqueue.yaml:3:20: unknown key 'max_concurency'" in server.text
    assert "max_concurrency" in server.text
    waiting_runs(place, 3)
    begun(place, 2)
    place.drop("aqueue.yaml", invalid)
    place.drop("aqueue.yaml", slots(0))
    server.says("queue/aqueue.yaml:3:37: queues.config.0.max_concurrency: expected a number from 1 upwards")
    assert server.text.count(UNCHANGED) == 2
    assert len(place.lines("begun")) == 2
    place.drop("aqueue.yaml", slots(3))
    begun(place, 3)
    place.path("go").touch()


def test_commands_and_a_new_server_go_on_with_the_last_good_configuration_and_say_so(place: Place) -> None:
    place.drop("aqueue.yaml", slots(3, "defaults: {env: {SAID: before}}\n"))
    server = place.serve()
    place.run("wait", place.add("true"))
    place.drop("aqueue.yaml", "jbos: 1\n")
    server.says(UNCHANGED)
    place.path("x.yaml").write_text("command: 'true'\n")
    add = ("add", "--", "echo $SAID >>said")
    for command in (add, ("enqueue", "x.yaml"), ("prune",), ("retry", "1")):
        done = place.ask(*command)
        assert done.returncode == 0
        in_force = "warning: the last good configuration is in force: queue/aqueue.yaml:1:1: unknown key 'jbos'"
        assert in_force in done.stderr
    place.run("wait")
    assert place.lines("said") == ["before"]
    assert "unknown key 'jbos'" in place.refuse("check", "queue/aqueue.yaml", code=2)
    server.signal(signal.SIGINT)
    server.ends()
    waiting_runs(place, 3)
    place.serve().says("the last good configuration is in force")
    begun(place, 3)
    place.path("go").touch()


@pytest.mark.parametrize(
    "end", [signal.SIGINT, signal.SIGKILL, None], ids=["after Ctrl-C", "after kill -9", "one of two servers"]
)
def test_a_pause_survives_a_restart_and_resume_is_at_once(place: Place, end: signal.Signals | None) -> None:
    place.drop("aqueue.yaml", slots(2))
    server = place.serve()
    place.run("pause", "lane")
    waiting_runs(place, 1)
    server.says("accepted")
    if end is not None:
        server.signal(end)
        server.ends()
    place.serve("-j", "2")
    place.run("wait", place.add("true"))
    assert place.rows()["lane-0"]["waiting_for"] == "queue lane is paused; `aqueue resume lane` resumes it"
    assert "paused" in place.run("status")
    place.run("resume", "lane")
    begun(place, 1)
    place.path("go").touch()


def test_a_pause_lets_run_what_runs_and_one_in_the_file_is_lifted_only_there(place: Place) -> None:
    place.drop("aqueue.yaml", slots(1))
    place.serve()
    waiting_runs(place, 2)
    begun(place, 1)
    place.run("pause", "lane")
    place.drop("aqueue.yaml", slots(1).replace("}", ", paused: true}"))
    complaint = place.refuse("resume", "lane", code=1)
    assert "paused in aqueue.yaml" in complaint
    place.path("end-lane-0").touch()
    place.becomes("lane-0", "succeeded")
    assert place.rows()["lane-1"]["waiting_for"] == "queue lane is paused in aqueue.yaml"
    place.drop("aqueue.yaml", slots(1))
    begun(place, 2)
    place.path("go").touch()


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("command: [not-to-be-found]", "command not found"),
        ("command: exit 0\nworking_dir: /not/there", "cannot be started"),
        ("command: exit 0\nshell: /not/there", "command not found"),
        ("command: [slow]\nenv: {PATH: .}", None),
    ],
    ids=["no program", "no directory", "no shell", "slow"],
)
def test_a_slow_or_failing_start_delays_no_other_queue(place: Place, how: str, why: str | None) -> None:
    slow = place.path("slow")
    slow.write_text(f"#!/bin/sh\n{place.until('go')}\n")
    slow.chmod(0o755)
    place.drop("aqueue.yaml", slots(20, "    - {name: other, max_concurrency: 1}\n"))
    place.serve()
    for number in range(20):
        place.drop(f"lane/bad-{number}.yaml", f"{how}\n")
    asked = time.monotonic()
    place.task("other/good", "touch begun")
    place.appears("begun", 2)
    assert time.monotonic() - asked < 1.5
    place.path("go").touch()
    place.becomes("bad-19", "failed", "succeeded")
    reasons = {row["reason"] for row in place.ls() if row["queue"] == "lane"}
    assert why is None or all(why in str(reason) for reason in reasons), reasons
