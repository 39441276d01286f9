"""`aqueue cancel`, `hold`, `release`, `retry` and `prune`."""

import pytest

from tests.acceptance.driving import Place
from tests.waiting import eventually

pytestmark = pytest.mark.at_length


def test_a_queued_run_is_cancelled_at_once(place: Place) -> None:
    place.init()
    place.add("touch ran", "-n", "waits")
    place.add("touch ran", "-n", "staged", "--hold")
    done = place.ask("cancel", "1", "2")
    assert (done.returncode, done.stdout, done.stderr) == (0, "cancelled runs 1 waits, 2 staged\n", "")
    for row in place.ls():
        assert (row["state"], row["reason"], row["attempt"]) == ("aborted", "cancelled", 0)
        assert row["finished_at"] is not None
    place.drain()
    assert not place.path("ran").exists()


def test_a_running_run_is_cancelled_with_its_whole_group_and_not_tried_again(place: Place) -> None:
    place.serve()
    place.task("tree", "(sleep 60 & sleep 60) & sleep 60 & touch begun; sleep 60", "retries: 5")
    place.appears("begun")
    assert len(place.processes_of_runs()) >= 4
    place.run("cancel", "1")
    row = place.becomes("tree", "aborted")
    assert (row["reason"], row["attempt"]) == ("cancelled", 1)
    assert place.processes_of_runs() == []


def test_a_command_may_tidy_up_when_it_is_cancelled(place: Place) -> None:
    place.serve()
    place.task("tidy", "trap 'touch tidied; exit 9' TERM; touch begun; while :; do sleep 0.02; done")
    place.appears("begun")
    place.run("cancel", "1")
    row = place.becomes("tidy", "aborted")
    assert row["exit_code"] == 9
    assert place.path("tidied").exists()


def test_a_cancelled_run_frees_its_slot_for_the_next(place: Place) -> None:
    place.serve()
    place.task("block", f"touch begun; {place.until('go')}")
    place.task("next", "true")
    place.appears("begun")
    place.run("cancel", "1")
    place.becomes("next", "succeeded")


def test_hold_and_release_keep_a_run_from_its_turn_and_give_it_back(place: Place) -> None:
    server = place.serve()
    place.task("block", place.until("go"))
    server.says("started")
    place.add("echo a >>order", "-n", "a")
    place.add("echo b >>order", "-n", "b")
    place.run("hold", "2")
    assert place.rows()["a"]["state"] == "held"
    place.path("go").touch()
    place.becomes("b", "succeeded")
    assert place.lines("order") == ["b"]
    place.run("release", "2")
    place.becomes("a", "succeeded")
    assert place.lines("order") == ["b", "a"]


def test_retry_runs_what_is_over_once_more_as_a_new_attempt(place: Place) -> None:
    place.task("flaky", "echo $AQUEUE_ATTEMPT >>begun; test -e mended", "retries: 1")
    place.drain()
    assert place.lines("begun") == ["1", "2"]
    place.path("mended").touch()
    done = place.ask("retry", "1")
    assert (done.returncode, done.stdout) == (0, "retried run 1 flaky\n")
    assert "no server is running" in done.stderr
    row = place.ls()[0]
    assert (row["state"], row["reason"]) == ("queued", "retried by hand")
    place.drain()
    row = place.ls()[0]
    assert (row["state"], row["attempt"], row["exit_code"], row["reason"]) == ("succeeded", 3, 0, None)
    assert place.lines("begun") == ["1", "2", "3"]


def test_a_retried_run_has_all_its_retries_before_it_again(place: Place) -> None:
    place.task("hopeless", "echo . >>begun; exit 1", "retries: 1")
    place.drain()
    place.run("retry", "1")
    place.drain()
    assert len(place.lines("begun")) == 4
    assert place.ls()[0]["state"] == "failed"


def test_a_living_server_hears_of_a_change_at_once(place: Place) -> None:
    place.serve()
    place.add("true", "-n", "staged", "--hold")
    place.run("release", "1")
    place.becomes("staged", "succeeded", seconds=3.0)
    place.run("retry", "1")
    eventually(lambda: place.ls()[0]["attempt"] == 2, 3.0)


def test_what_a_run_is_not_in_the_state_for_is_refused_and_nothing_is_changed(place: Place) -> None:
    place.task("over", "true")
    place.drain()
    place.add("true", "-n", "waits")
    place.add("true", "-n", "staged", "--hold")
    before = place.ls()
    for command, what in (
        (("cancel", "1"), "run 1 cannot be cancelled: it is succeeded"),
        (("hold", "1"), "run 1 cannot be held: it is succeeded"),
        (("hold", "3"), "run 3 cannot be held: it is held\nonly queued runs can be held"),
        (("release", "2"), "run 2 cannot be released: it is queued"),
        (("retry", "2"), "run 2 cannot be retried: it is queued"),
        # All or nothing: 2 could be cancelled.
        (("cancel", "2", "1"), "nothing was changed"),
        (("cancel", "2", "99"), "there is no run 99"),
    ):
        complaint = place.refuse(*command, code=1)
        assert what in complaint
        assert len(complaint.splitlines()) == 2, complaint
    assert place.ls() == before


def test_a_run_named_twice_is_changed_once(place: Place) -> None:
    place.init()
    place.add("true", "-n", "once")
    run_id = place.ls()[0]["run_id"]
    place.run("cancel", "1", f"once:{run_id}", run_id)
    assert place.ls()[0]["state"] == "aborted"


def test_prune_forgets_what_was_over_long_ago_with_its_files(place: Place) -> None:
    place.task("over", "echo output")
    place.drain()
    place.add("true", "-n", "waits")
    assert place.run("prune") == "0 runs deleted\n"
    assert place.run("prune", "--keep", "1h") == "0 runs deleted\n"
    assert len(place.ls()) == 2
    assert place.run("prune", "--keep", "0") == "1 run deleted\n"
    assert [row["name"] for row in place.ls()] == ["waits"]
    assert not (place.state / "runs/1").exists()
    assert "there is no run 1" in place.refuse("show", "1", code=1)
    # An id is never given again.
    assert place.add("true") == "3"


def test_the_last_run_pruned_leaves_a_folder_that_works(place: Place) -> None:
    place.task("first", "true")
    place.drain()
    place.run("prune", "--keep", "0")
    assert place.ls() == []
    place.task("second", "echo $AQUEUE_ID >id")
    place.drain()
    assert place.lines("id") == ["2"]
