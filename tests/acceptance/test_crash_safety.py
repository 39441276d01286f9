"""The server is killed without warning: nothing is lost, nothing runs twice, and every exit code is true."""

import contextlib
import sqlite3
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.background import asleep
from tests.acceptance.driving import Place, Row
from tests.waiting import eventually


def took(row: Row) -> float:
    """The seconds from the start of the last attempt to its end."""
    started, finished = (datetime.fromisoformat(row[key]) for key in ("started_at", "finished_at"))
    return (finished - started).total_seconds()


def has_begun(place: Place, lines: list[str]) -> bool:
    return place.lines("begun") == lines


def test_a_run_lives_on_and_the_next_server_adopts_it(place: Place) -> None:
    server = place.serve()
    place.task("long", f"echo begun >>ledger; echo one; {place.until('go')}; echo two; exit 3")
    eventually(lambda: place.lines("ledger") == ["begun"])
    pid = place.becomes("long", "running")["pid"]
    server.kill()
    assert place.processes_of_runs()
    next_server = place.serve()
    next_server.says("adopted")
    row = place.rows()["long"]
    assert (row["state"], row["pid"], row["attempt"]) == ("running", pid, 1)
    place.path("go").touch()
    row = place.becomes("long", "failed")
    assert (row["exit_code"], row["reason"], row["attempt"]) == (3, "exit code 3: two", 1)
    assert place.output(row) == "one\ntwo\n"
    assert place.lines("ledger") == ["begun"]


def test_an_attempt_of_an_executor_that_no_server_has_is_left_alone_and_shown(place: Place) -> None:
    def started_by(executor: str) -> None:
        with contextlib.closing(sqlite3.connect(place.state / "state.db", timeout=10.0)) as connection, connection:
            connection.execute("UPDATE attempts SET executor = ?", (executor,))

    place.drop("aqueue.yaml", "heartbeat: {interval: 0.1}\n")
    server = place.serve()
    place.task("long", f"echo begun >>ledger; {place.until('go')}; exit 3", "retries: 1")
    eventually(lambda: place.lines("ledger") == ["begun"])
    pid = place.becomes("long", "running")["pid"]
    server.kill()
    started_by("slurm")
    next_server = place.serve()
    why = "its server is gone; it waits for one that has its executor 'slurm'"
    eventually(lambda: place.rows()["long"]["reason"] == why)
    assert f"run 1 long is running, {why}" in place.run("status").splitlines()
    assert f"running, {why}" in place.run("show", "1")
    assert "adopted" not in next_server.text
    # As if a server with that executor had come.
    started_by("local")
    next_server.says("adopted")
    row = place.rows()["long"]
    assert (row["state"], row["pid"], row["attempt"], row["reason"]) == ("running", pid, 1, None)
    assert "executor" not in place.run("status")
    assert place.lines("ledger") == ["begun"]


def test_what_ended_while_no_server_was_up_is_reported_as_it_ended(place: Place) -> None:
    server = place.serve("-j", "4")
    for name, end in (
        ("good", "exit 0"),
        ("bad", "exit 7"),
        ("highest", "exit 255"),
        ("signalled", "kill -KILL $$"),
    ):
        script = f"echo {name} >>begun; {place.until('go')}; echo {name} >>ended; {end}"
        place.drop(f"{name}.yaml", f"command:\n- sh\n- -c\n- {script!r}\n")
    eventually(lambda: len(place.lines("begun")) == 4)
    server.kill()
    place.path("go").touch()
    eventually(lambda: len(place.lines("ended")) == 4 and not place.processes_of_runs())
    place.drain()
    told = {
        name: (row["state"], row["exit_code"], row["reason"], row["attempt"]) for name, row in place.rows().items()
    }
    assert told == {
        "good": ("succeeded", 0, None, 1),
        "bad": ("failed", 7, "exit code 7", 1),
        "highest": ("failed", 255, "exit code 255", 1),
        "signalled": ("failed", 137, "killed by SIGKILL", 1),
    }
    assert len(place.lines("begun")) == 4


def test_a_command_that_kills_its_own_shell_while_no_server_is_up_does_not_run_twice(place: Place) -> None:
    server = place.serve()
    place.task("suicide", f"echo begun >>begun; {place.until('go')}; kill -KILL $$")
    place.appears("begun")
    server.kill()
    place.path("go").touch()
    eventually(lambda: not place.processes_of_runs())
    place.drain()
    row = place.rows()["suicide"]
    assert (row["state"], row["exit_code"], row["reason"]) == ("failed", 137, "killed by SIGKILL")
    assert place.lines("begun") == ["begun"]


def test_what_failed_meanwhile_is_tried_again_as_its_retries_say(place: Place) -> None:
    server = place.serve()
    place.task(
        "flaky", f"echo $AQUEUE_ATTEMPT >>begun; {place.until('go')}; test $AQUEUE_ATTEMPT = 2", "retries: 1"
    )
    place.appears("begun")
    server.kill()
    place.path("go").touch()
    eventually(lambda: not place.processes_of_runs())
    place.drain()
    row = place.rows()["flaky"]
    assert (row["state"], row["attempt"]) == ("succeeded", 2)
    assert place.lines("begun") == ["1", "2"]


def test_what_waited_keeps_its_turn(place: Place) -> None:
    server = place.serve()
    place.task("block", place.until("go"))
    place.becomes("block", "running")
    for number in range(5):
        place.task(f"t{number}", f"echo {number} >>order")
    server.says("accepted", times=6)
    server.kill()
    place.path("go").touch()
    place.drain()
    assert place.lines("order") == ["0", "1", "2", "3", "4"]


def test_a_lost_run_is_queued_again_three_times_and_then_given_up(place: Place) -> None:
    place.task("unlucky", f"echo $AQUEUE_ATTEMPT >>begun; {place.until('go')}")
    for attempts in (["1"], ["1", "2"], ["1", "2", "3"], ["1", "2", "3", "4"]):
        server = place.serve()
        eventually(partial(has_begun, place, attempts))
        server.kill()
        place.kill_processes_of(1)
    place.drain()
    row = place.show("1")
    assert (row["state"], len(row["attempts"])) == ("failed", 4)
    assert row["reason"].startswith("lost: ")
    assert "given up" in row["reason"]
    assert place.lines("begun") == ["1", "2", "3", "4"]


def test_a_lost_run_that_is_not_to_be_queued_again_has_failed(place: Place) -> None:
    server = place.serve()
    place.task("precious", f"echo begun >>begun; {place.until('go')}", "requeue: false", "retries: 3")
    place.appears("begun")
    server.kill()
    place.kill_processes_of(1)
    place.drain()
    row = place.rows()["precious"]
    assert (row["state"], row["exit_code"], row["attempt"]) == ("failed", None, 1)
    assert row["reason"].startswith("lost: ")
    assert place.lines("begun") == ["begun"]


def test_a_run_that_is_killed_under_a_living_server_has_failed_and_is_not_lost(place: Place) -> None:
    place.serve()
    place.task("victim", f"touch begun; {place.until('go')}")
    place.appears("begun")
    place.kill_processes_of(1)
    row = place.becomes("victim", "failed")
    assert (row["reason"], row["exit_code"], row["attempt"]) == ("killed by SIGKILL", 137, 1)


def test_what_is_cancelled_while_no_server_is_up_is_stopped_by_the_next(place: Place) -> None:
    server = place.serve()
    place.task("running", f"touch begun; {place.until('go')}")
    place.task("queued", "touch ran")
    place.appears("begun")
    server.says("accepted", times=2)
    server.kill()
    done = place.ask("cancel", "1", "2")
    assert (done.returncode, done.stdout) == (0, "cancelled runs 1 running, 2 queued\n")
    assert "no server is running" in done.stderr
    place.drain()
    assert place.processes_of_runs() == []
    told = {name: (row["state"], row["reason"]) for name, row in place.rows().items()}
    assert told == {"running": ("aborted", "cancelled"), "queued": ("aborted", "cancelled")}
    assert not place.path("ran").exists()


def test_a_timeout_counts_from_the_true_start_whoever_watches(place: Place) -> None:
    server = place.serve("-j", "2")
    place.task("during", "touch a; sleep 60", "timeout: 2s")
    place.task("before", "touch b; sleep 60", "timeout: 0.2s")
    place.appears("a")
    server.kill()
    place.drain("-j", "2")
    rows = place.rows()
    assert rows["during"]["reason"] == "timed out after 2s"
    assert 1.9 < took(rows["during"]) < 2.9
    if place.path("b").exists():
        assert rows["before"]["reason"] == "timed out after 200ms"


def test_a_stopped_server_is_not_taken_for_a_dead_one(place: Place) -> None:
    server = place.serve()
    place.task("long", f"echo begun >>begun; {place.until('go')}; exit 4")
    place.appears("begun")
    with asleep(place, server.process.pid):
        other = place.serve()
        place.task("other", "true")
        place.becomes("other", "succeeded")
        assert "adopted" not in other.text
    place.path("go").touch()
    assert place.becomes("long", "failed")["exit_code"] == 4
    assert place.lines("begun") == ["begun"]


def test_another_server_that_is_up_adopts_without_being_restarted(place: Place) -> None:
    place.init()
    (place.folder / "aqueue.yaml").write_text("heartbeat: {interval: 0.2s}\n")
    server = place.serve()
    place.task("long", f"echo begun >>begun; {place.until('go')}; exit 4")
    place.appears("begun")
    other = place.serve()
    server.kill()
    other.says("adopted")
    place.path("go").touch()
    assert place.becomes("long", "failed")["exit_code"] == 4
    assert place.lines("begun") == ["begun"]


def zero(database: Path) -> None:
    database.write_bytes(bytes(database.stat().st_size))


def scramble(database: Path) -> None:
    database.write_bytes(b"not a database, but a diary\n" * 1000)


def halve(database: Path) -> None:
    database.write_bytes(database.read_bytes()[: database.stat().st_size // 2])


def empty(database: Path) -> None:
    database.write_bytes(b"")


def lose(database: Path) -> None:
    database.unlink()


@pytest.mark.parametrize("damage", [zero, scramble, halve, empty, lose])
def test_a_database_that_cannot_be_read_stops_everything_and_is_never_replaced(
    place: Place, damage: Callable[[Path], None]
) -> None:
    place.task("one", "true")
    place.drain()
    database = place.state / "state.db"
    damage(database)
    before = database.read_bytes() if database.exists() else None
    place.task("two", "touch ran")
    for command in (("serve",), ("add", "--", "true")):
        complaint = place.refuse(*command, code=1)
        assert str(database) in complaint
        assert "restore it from a copy" in complaint
        assert len(complaint.splitlines()) == 2
        assert (database.read_bytes() if database.exists() else None) == before
    assert (place.folder / "two.yaml").exists()
    assert not place.path("ran").exists()


def test_a_file_that_was_accepted_before_its_server_died_is_not_accepted_again(place: Place) -> None:
    server = place.serve()
    place.task("mine", place.until("go"))
    server.says("accepted")
    server.kill()
    assert list((place.state / "incoming").iterdir())
    server = place.serve()
    server.says("adopted")
    eventually(lambda: not list((place.state / "incoming").iterdir()))
    assert "accepted" not in server.text
    place.path("go").touch()
    place.becomes("mine", "succeeded")


def test_files_that_were_claimed_when_the_server_died_are_taken_up(place: Place) -> None:
    place.drain()
    # What a server leaves that is killed between the rename and its transaction.
    claimed = place.state / "incoming" / "0123456789ab000001~lane~mine.yaml"
    claimed.write_text("command: echo ran >>ledger\n")
    place.drain()
    row = place.rows()["mine"]
    assert (row["state"], row["queue"]) == ("succeeded", "lane")
    assert place.lines("ledger") == ["ran"]
    assert not any((place.state / "incoming").iterdir())


def test_a_server_that_comes_by_another_way_to_the_folder_adopts_what_runs(place: Place, tmp_path: Path) -> None:
    place.task("job", f"echo begin >>trace; {place.until('go')}; echo end >>trace; exit 5")
    server = place.serve()
    place.becomes("job", "running")
    server.kill()
    link = tmp_path / "link"
    link.symlink_to(place.base)
    heir = place.serve(str(link / "queue"))
    heir.says("adopted")
    assert place.becomes("job", "running")["attempt"] == 1
    place.path("go").touch()
    assert place.becomes("job", "failed")["exit_code"] == 5
    assert place.lines("trace") == ["begin", "end"]
