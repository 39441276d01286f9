"""Runs that come after others: in task files, on the command line, and when servers and people come in between."""

import pytest

from tests.acceptance.driving import Place
from tests.waiting import eventually

pytestmark = pytest.mark.at_length


def test_files_that_are_dropped_together_work_in_any_order(place: Place) -> None:
    place.serve("-j", "4")
    place.task("last", "echo last >>order", "after: [middle, 'group:first']")
    place.task("middle", "echo middle >>order", "after: first-2")
    place.task("first", "echo first >>order", "matrix: {x: range(2)}")
    place.becomes("last", "succeeded")
    assert place.lines("order") == ["first", "first", "middle", "last"]


def test_tasks_of_one_file_run_as_they_need_each_other(place: Place) -> None:
    place.drop(
        "all.yaml",
        "name: report\ncommand: echo report >>order\nneeds: [train, tidy]\n---\n"
        "name: train\ncommand: echo train >>order\nmatrix: {x: range(3)}\nneeds: fetch\n---\n"
        "name: fetch\ncommand: echo fetch >>order\n---\n"
        "name: tidy\ncommand: echo tidy >>order\nneeds: train-2\n",
    )
    place.drain("-j", "1")
    order = place.lines("order")
    assert (order[0], order[-1]) == ("fetch", "report")
    assert sorted(order) == ["fetch", "report", "tidy", "train", "train", "train"]
    assert order.index("tidy") >= 3


def test_what_comes_after_a_failure_is_aborted_and_says_why(place: Place) -> None:
    place.drop(
        "all.yaml",
        "name: a\ncommand: exit 3\n---\nname: b\ncommand: touch ran\nneeds: a\n---\n"
        "name: c\ncommand: touch ran\nneeds: b\n---\n"
        "name: tidy\ncommand: touch tidied\nneeds: [c]\nafter_any: true\n",
    )
    text = place.drain()
    rows = place.rows()
    assert {name: row["state"] for name, row in rows.items()} == {
        "a": "failed",
        "b": "aborted",
        "c": "aborted",
        "tidy": "succeeded",
    }
    assert rows["b"]["reason"] == "run 1 a, which it comes after, failed"
    assert "aborted 3 c: run 2 b, which it comes after, was aborted" in text
    assert (place.path("tidied").exists(), place.path("ran").exists()) == (True, False)
    assert not (place.state / "runs/2/attempt-1.log").exists()


def test_a_waiting_run_says_what_it_waits_for_and_what_it_comes_after(place: Place) -> None:
    place.init()
    for name in "abcd":
        place.add("true", "-n", name)
    place.add("true", "-n", "last", "--after", "a,2", "--after", "c", "--after", "d")
    row = place.show("5")
    assert row["waiting_for"] == "waits for runs 1, 2, 3 …"
    assert row["after"] == [1, 2, 3, 4]
    assert "1 a (queued), 2 b (queued)" in place.run("show", "5")
    place.run("cancel", "1")
    assert place.show("5")["reason"] == "run 1 a, which it comes after, was aborted"


WRONG = {
    "run": ("after: nothing", "2:8: after: there is no run 'nothing'", "`aqueue ls` lists the runs"),
    "group": ("after: [a, group:a]", "2:12: after: there is no group a", "`aqueue ls` lists the runs"),
    "id": ("after:\n- a\n- 77", "4:3: after: there is no run 77", "`aqueue ls` lists the runs"),
    "itself": ("after: [a, itself]", "2:12: after: there is no run 'itself'", "a run cannot come after itself"),
    "need": ("needs: a", "2:8: needs: there is no task a in this file", "already goes into 'after'"),
    "circle": ("needs: circle", "2:8: needs: circle needs circle: none could ever start", "break the circle"),
    "here": ("after: c\n---\nname: c\ncommand: x", "2:8: after: there is no run 'c'", "write needs: [c]"),
    "sweep": (
        "after: d-2\n---\nname: d\ncommand: x\nmatrix: {x: [1, 2]}",
        "2:8: after: there is no run 'd-2'",
        "write needs: [d-2]",
    ),
}


def test_what_is_not_known_is_an_error_with_its_place(place: Place) -> None:
    place.init()
    place.add("true", "-n", "a", "--hold")
    for name, (line, _, _) in WRONG.items():
        place.task(name, "true", line)
    # Each line has that word twice.
    place.serve().says("rejected", times=2 * len(WRONG))
    for name, (_, complaint, hint) in WRONG.items():
        told = (place.folder / f"rejected/{name}.yaml.error").read_text()
        assert told.startswith(f"{name}.yaml:{complaint}\n"), told
        assert hint in told
    assert [row["name"] for row in place.ls()] == ["a"]


def test_add_and_enqueue_take_after_and_refuse_what_is_not_known(place: Place) -> None:
    place.init()
    place.path("train.yaml").write_text("command: echo train >>order\nmatrix: {x: range(2)}\n")
    place.add("echo first >>order; exit 1", "-n", "first")
    place.run("enqueue", "--after", "first", "--after-any", "train.yaml")
    place.add("echo last >>order", "-n", "last", "--after", "group:train, 1", "--after-any")
    for command in (("add", "--after", "99", "--", "x"), ("enqueue", "--after", "group:x", "train.yaml")):
        assert "there is no" in place.refuse(*command, code=1)
    assert len(place.ls()) == 4
    place.drain("-j", "3")
    assert place.lines("order") == ["first", "train", "train", "last"]


def test_other_params_must_not_take_away_what_is_needed(place: Place) -> None:
    place.init()
    place.path("all.yaml").write_text(
        "name: train\ncommand: 'true'\nmatrix: {x: range(4)}\n---\nname: eval\ncommand: 'true'\nneeds: [train-3]\n"
    )
    assert "there is no task train-3 in this file" in place.refuse("enqueue", "all.yaml", "--", "x=[5,6]", code=2)
    assert place.ls() == []
    place.run("enqueue", "all.yaml", "--", "x=[5,6,7]")
    assert place.show("4")["after"] == [3]


def test_cancelling_tells_what_hangs_on_it_and_retrying_what_comes_back(place: Place) -> None:
    place.init()
    place.path("all.yaml").write_text(
        "name: a\ncommand: 'true'\n---\nname: b\ncommand: 'true'\nneeds: a\nmatrix: {x: range(7)}\n---\n"
        "name: tidy\ncommand: 'true'\nneeds: a\nafter_any: true\n"
    )
    place.run("enqueue", "all.yaml")
    told = place.ask("cancel", "1").stderr
    assert told == "runs 2 b-1, 3 b-2, 4 b-3, 5 b-4, 6 b-5 and 2 more waited for it and were aborted\n"
    assert place.rows()["tidy"]["state"] == "queued"
    place.run("cancel", "2")
    told = place.ask("retry", "1").stderr
    assert told.splitlines()[-1].startswith("runs 3 b-2, 4 b-3, 5 b-4, 6 b-5, 7 b-6 and 1 more wait for it again")
    assert "comes after run 1 a, which is failed" not in told
    place.drain("-j", "9")
    assert {row["state"] for row in place.ls() if row["id"] != 2} == {"succeeded"}


@pytest.mark.parametrize("order", ["123", "321"])
def test_a_chain_is_cancelled_and_retried_in_any_order(place: Place, order: str) -> None:
    place.init()
    place.path("all.yaml").write_text(
        "name: a\ncommand: echo a >>order\n---\nname: b\ncommand: echo b >>order\nneeds: a\n---\n"
        "name: c\ncommand: echo c >>order\nneeds: b\n"
    )
    place.run("enqueue", "all.yaml")
    assert place.ask("cancel", *order).stderr == ""
    assert {row["reason"] for row in place.ls()} == {"cancelled"}
    complaint = place.refuse("retry", "3", "2", code=1)
    assert "comes after run 1 a, which is aborted; nothing was changed" in complaint
    place.run("retry", *order)
    place.drain("-j", "3")
    assert place.lines("order") == ["a", "b", "c"]


def test_a_living_server_stops_what_is_cancelled_and_starts_what_is_retried_with_it(place: Place) -> None:
    server = place.serve("-j", "3")
    place.task("a", f"touch begun; {place.until('go')}")
    place.appears("begun")
    place.task("b", "true", "after: a")
    server.says("accepted 2 b")
    assert "run 2 b waited for it and was aborted" in place.ask("cancel", "1").stderr
    place.becomes("b", "aborted")
    server.says("aborted 2 b: run 1 a, which it comes after, was aborted")
    place.path("go").touch()
    assert "run 2 b waits for it again" in place.ask("retry", "a:" + place.show("1")["run_id"]).stderr
    place.becomes("b", "succeeded")


def test_wait_waits_for_what_waits(place: Place) -> None:
    place.serve("-j", "3")
    place.add("sleep 0.3; exit 1", "-n", "a")
    place.add("true", "-n", "b", "--after", "a")
    done = place.ask("wait", "2")
    assert (done.returncode, done.stdout) == (1, "2 b aborted: run 1 a, which it comes after, failed\n")


def test_a_waiting_run_is_held_released_and_dequeued_as_any_other(place: Place) -> None:
    server = place.serve("-j", "3")
    place.task("a", place.until("go"))
    server.says("started 1 a")
    for name in "bc":
        place.add(f"touch {name}", "-n", name, "--after", "a")
    place.run("hold", "2")
    assert place.run("dequeue", "c").startswith("3 c:")
    place.path("go").touch()
    place.becomes("a", "succeeded")
    assert place.rows()["b"]["state"] == "held"
    place.run("release", "2")
    place.becomes("b", "succeeded")
    assert not place.path("c").exists()


def test_what_is_dequeued_takes_with_it_what_comes_after_it(place: Place) -> None:
    place.init()
    place.add("true", "-n", "a")
    place.add("true", "-n", "b", "--after", "a")
    done = place.ask("dequeue", "a")
    assert done.stderr == "run 2 b waited for it and was aborted\n"
    rows = place.rows()
    assert {name: row["reason"] for name, row in rows.items()} == {
        "a": "dequeued",
        "b": "run 1 a, which it comes after, was aborted",
    }


def test_a_server_that_is_killed_in_between_changes_nothing(place: Place) -> None:
    server = place.serve("-j", "3")
    place.drop(
        "all.yaml",
        f"name: good\ncommand: {place.until('go')}\n---\nname: bad\ncommand: {place.until('go')}; exit 1\n---\n"
        "name: b\ncommand: echo b >>order\nneeds: good\n---\nname: c\ncommand: echo c >>order\nneeds: [b, bad]\n",
    )
    place.becomes("good", "running")
    place.becomes("bad", "running")
    server.kill()
    place.path("go").touch()
    eventually(lambda: not place.processes_of_runs())
    assert place.rows()["b"]["waiting_for"] == "waits for run 1"
    place.drain()
    rows = place.rows()
    assert {name: row["state"] for name, row in rows.items()} == {
        "good": "succeeded",
        "bad": "failed",
        "b": "succeeded",
        "c": "aborted",
    }
    assert place.lines("order") == ["b"]


def test_one_server_starts_what_comes_after_the_run_of_another(place: Place) -> None:
    place.serve("--queue", "first")
    place.serve("--queue", "second")
    place.drop(
        "all.yaml",
        f"name: a\nqueue: first\ncommand: {place.until('go')}\n---\n"
        "name: b\nqueue: second\ncommand: 'true'\nneeds: a\n---\n"
        "name: c\nqueue: first\ncommand: 'true'\nneeds: b\n",
    )
    place.becomes("a", "running")
    place.path("go").touch()
    # Long before either looks around by itself.
    place.becomes("c", "succeeded", seconds=4.0)


def test_what_comes_after_something_that_is_held_keeps_no_server_up_until_that_is_released(place: Place) -> None:
    place.init()
    place.add("true", "-n", "a", "--hold")
    place.add("true", "-n", "b", "--after", "a")
    assert "run 2 b is left: waits for run 1" in place.drain()
    place.run("release", "1")
    place.drain()
    assert place.rows()["b"]["state"] == "succeeded"


def test_prune_forgets_what_is_over_and_leaves_what_comes_after_it(place: Place) -> None:
    place.task("a", "true")
    place.drain()
    place.add("touch ran", "-n", "b", "--after", "a", "--hold")
    assert place.run("prune", "--keep", "0") == "1 run deleted\n"
    assert place.show("2")["after"] is None
    assert "there is no run 'a'" in place.refuse("add", "--after", "a", "--", "x", code=1)
    place.run("release", "2")
    place.drain()
    assert place.path("ran").exists()


def test_a_name_is_its_newest_run_when_a_file_is_dropped_again(place: Place) -> None:
    place.task("a", "exit 1")
    place.drain()
    place.task("b", "true", "after: a")
    place.drain()
    # Not the old one, though this comes first.
    place.task("b", "true", "after: a")
    place.task("a", "true")
    place.drain()
    assert [(row["name"], row["state"]) for row in place.ls()] == [
        ("a", "failed"),
        ("b", "aborted"),
        ("a", "succeeded"),
        ("b", "succeeded"),
    ]


def test_a_file_comes_after_one_that_is_dropped_with_it_and_not_after_an_older_run(place: Place) -> None:
    place.task("train", "echo old >>ledger")
    place.drain()
    server = place.serve()
    place.task("a", "echo a >>ledger", "after: [train, b]")
    place.task("b", "echo b >>ledger", "after: z")
    place.task("train", f"{place.until('go')}; echo new >>ledger")
    place.task("z", "true")
    server.says("accepted", 4)
    place.path("go").touch()
    eventually(lambda: len(place.lines("ledger")) == 4)
    ledger = place.lines("ledger")
    assert (ledger[0], ledger[-1], sorted(ledger[1:3])) == ("old", "a", ["b", "new"])


def test_dequeue_says_what_hangs_on_a_run_and_leaves_it_to_be_retried(place: Place) -> None:
    place.init()
    place.add("true", "-n", "first", "-u", "lane")
    place.add("true", "-n", "second", "--after", "first")
    assert "run 2 second waited for it and was aborted" in place.ask("dequeue", "lane").stderr
    assert [(row["name"], row["state"]) for row in place.ls()] == [("first", "aborted"), ("second", "aborted")]
    assert "run 1 first" in place.refuse("retry", "second", code=1)


def test_an_empty_name_to_come_after_is_refused(place: Place) -> None:
    place.init()
    place.refuse("add", "--after", "", "--", "true", code=2)
    place.refuse("add", "--after-any", "--", "true", code=2)
    assert place.ls() == []
