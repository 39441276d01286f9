"""`aqueue add` and `aqueue enqueue`: what they queue, what they print, what they refuse."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.driving import AQUEUE, Place
from tests.waiting import eventually

pytestmark = pytest.mark.at_length

UNSERVED = "no server is running: queued runs start once you run `aqueue serve`\n"


def test_add_prints_the_id_and_nothing_else_for_scripts(place: Place) -> None:
    place.serve()
    script = f"id=$({' '.join(AQUEUE)} add -- echo hello) && {' '.join(AQUEUE)} wait -q $id && echo over $id"
    done = subprocess.run(
        ["sh", "-c", script], cwd=place.base, env=place.environment, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("over 1\n", "")


def test_without_a_server_the_run_waits_and_that_is_said(place: Place) -> None:
    place.init()
    place.path("job.yaml").write_text("command: touch enqueued\n")
    for arguments, id_ in ((("add", "--", "touch added"), "1"), (("enqueue", "job.yaml"), "2")):
        done = place.ask(*arguments)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{id_}\n", UNSERVED)
    assert [row["state"] for row in place.ls()] == ["queued", "queued"]
    place.drain()
    assert place.path("added").exists()
    assert place.path("enqueued").exists()


def test_one_word_is_a_shell_command_and_several_are_run_as_they_are(place: Place) -> None:
    place.init()
    place.run("add", "--", "echo $((1 + 1)) $HOME | tr / _")
    place.run("add", "--", "printf", "%s|", "$HOME", "a b", "-n")
    place.drain()
    shell, words = place.ls()
    assert place.output(shell) == f"2 {place.environment['HOME'].replace('/', '_')}\n"
    assert place.output(words) == "$HOME|a b|-n|"


def test_what_is_added_runs_where_the_command_was_given(place: Place) -> None:
    place.init()
    elsewhere = place.base / "some where"
    elsewhere.mkdir()
    place.run("add", "--", "pwd", cwd=elsewhere)
    place.drain()
    assert place.output(place.ls()[0]) == f"{elsewhere}\n"


def test_add_brings_the_python_that_is_meant_and_nothing_else_of_the_environment(place: Place) -> None:
    place.init()
    path = f"/my/bin{os.pathsep}{place.environment['PATH']}"
    caller = {"PATH": path, "VIRTUAL_ENV": "/my/venv", "CONDA_PREFIX": "/my/conda", "OTHER": "stays", "GIVEN": "g"}
    show = "echo $PATH $VIRTUAL_ENV $CONDA_PREFIX ${OTHER-unset} ${GIVEN-unset} ${SET-unset}"
    place.run("add", "--", show, env=caller)
    place.run("add", "--env", "GIVEN", "--env", "SET=a=b c", "--", show, env=caller)
    place.drain()
    first, second = place.ls()
    assert place.output(first) == f"{path} /my/venv /my/conda unset unset unset\n"
    assert place.output(second) == f"{path} /my/venv /my/conda unset g a=b c\n"


def test_the_options_of_add_say_what_the_keys_of_a_task_file_say(place: Place) -> None:
    place.init()
    options = ("-n", "me", "-u", "lane", "--priority", "high", "--timeout", "0.2s", "--tags", "team=x, nightly")
    place.add("sleep 60", *options)
    place.add("touch held", "--hold")
    place.drain()
    row, held = place.ls()
    assert (row["name"], row["queue"], row["priority"]) == ("me", "lane", "high")
    assert row["tags"] == ["team=x", "nightly"]
    assert (row["trigger"], row["reason"]) == ("manual", "timed out after 200ms")
    assert held["state"] == "held"
    assert not place.path("held").exists()


def test_two_commands_without_a_name_do_not_share_a_queue(place: Place) -> None:
    place.serve("-j", "2")
    for _ in range(2):
        place.add(f"echo . >>begun; {place.until('both')}")
    eventually(lambda: len(place.lines("begun")) == 2)
    place.path("both").touch()
    place.run("wait", "1", "2")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (("--env", "NOT_SET_ANYWHERE", "--", "true"), "--env NOT_SET_ANYWHERE: the variable is not set here"),
        (("--env", "A B=1", "--", "true"), "--env A B: this variable cannot be set"),
        (("--env", "AQUEUE_ID=1", "--", "true"), "--env AQUEUE_ID: this variable cannot be set"),
        (("--tags", "=x", "--", "true"), "--tags =x: not a list of tags"),
        (("--", ""), "the command is empty"),
        (("--", " \n"), "the command is empty"),
    ],
)
def test_what_cannot_be_added_is_explained_and_nothing_is_queued(
    place: Place, arguments: tuple[str, ...], what: str
) -> None:
    place.init()
    complaint = place.refuse("add", *arguments, code=2)
    assert complaint.startswith(f"error: {what}")
    assert place.ls() == []


def test_enqueue_leaves_the_file_and_queues_it_as_often_as_it_is_told(place: Place) -> None:
    place.init()
    place.path("job.yaml").write_text("command: pwd\n---\nname: second\ncommand: pwd\nworking_dir: /\n")
    assert place.run("enqueue", "job.yaml") == "1\n2\n"
    assert place.run("enqueue", "job.yaml") == "3\n4\n"
    assert place.path("job.yaml").exists()
    assert [row["name"] for row in place.ls()] == ["job", "second", "job", "second"]


def test_the_options_of_enqueue_go_before_what_the_file_says(place: Place) -> None:
    place.init()
    place.path("job.yaml").write_text("name: own\nqueue: own\ncommand: pwd\ntags: [a]\npriority: low\n")
    options = ("-r", "r1", "-N", "other", "-u", "lane", "--tags", "b=c,a", "--priority", "high")
    place.run("enqueue", *options, "--trigger-type", "webhook", "--default-working-dir", "/", "job.yaml")
    place.drain()
    (row,) = place.ls()
    assert (row["name"], row["run_id"], row["queue"]) == ("other", "r1", "lane")
    assert (row["priority"], row["tags"], row["trigger"]) == ("high", ["a", "b=c"], "webhook")
    assert place.output(row) == "/\n"


def test_where_an_enqueued_task_runs(place: Place) -> None:
    place.init()
    here = place.base / "here"
    here.mkdir()
    (here / "silent.yaml").write_text("command: pwd\n")
    (here / "named.yaml").write_text("command: pwd\nworking_dir: here\n")
    place.run("enqueue", "silent.yaml", cwd=here)
    place.run("enqueue", "--default-working-dir", str(place.base), "silent.yaml", cwd=here)
    place.run("enqueue", "--default-working-dir", "/", "named.yaml", cwd=here)
    place.drain()
    assert [Path(place.output(row).strip()) for row in place.ls()] == [here, place.base, here]


def test_params_after_the_dashes_go_before_those_of_the_file(place: Place) -> None:
    place.init()
    place.path("job.yaml").write_text("command: echo $lr $size $1 $2 $#\nparams: {lr: 1, size: 2}\n")
    place.run("enqueue", "job.yaml", "--", "lr=0.5", "first one", "--second")
    place.path("list.yaml").write_text("command: [echo, '${lr}']\nparams: {lr: 1}\n")
    place.run("enqueue", "list.yaml", "--", "lr=0.5")
    place.drain()
    job, words = place.ls()
    assert place.output(job) == "0.5 2 first one --second 2\n"
    assert job["params"] == {"lr": 0.5, "size": 2}
    assert place.output(words) == "0.5\n"
    complaint = place.refuse("enqueue", "list.yaml", "--", "positional", code=2)
    assert "takes no positional params" in complaint


def test_the_same_name_and_run_id_twice_is_refused_and_changes_nothing(place: Place) -> None:
    place.init()
    place.path("job.yaml").write_text("command: echo first\n")
    place.run("enqueue", "-r", "r1", "job.yaml")
    before = place.ls()
    place.path("job.yaml").write_text("command: echo second\n")
    complaint = place.refuse("enqueue", "-r", "r1", "job.yaml", code=1)
    assert complaint.splitlines() == [
        "error: there already is a run job:r1",
        "choose another run-id, or leave it out",
    ]
    assert place.ls() == before
    assert place.show("job:r1")["command"] == "echo first"


@pytest.mark.parametrize(
    ("content", "arguments", "what"),
    [
        ("comand: a\n", (), "job.yaml:1:1: unknown key 'comand'\ndid you mean 'command'?"),
        ("command: a\n---\nname: b\ncommand: b\n", ("-r", "x"), "there are 2 tasks in job.yaml"),
        ("command: a\n---\nname: b\n", (), "job.yaml:3:1: 'command' is missing"),
    ],
)
def test_a_file_with_an_error_is_not_queued_at_all(
    place: Place, content: str, arguments: tuple[str, ...], what: str
) -> None:
    place.init()
    place.path("job.yaml").write_text(content)
    assert place.refuse("enqueue", *arguments, "job.yaml", code=2).startswith(f"error: {what}")
    assert place.ls() == []


def test_a_file_that_is_not_there_or_params_that_are_reserved_are_refused(place: Place) -> None:
    place.init()
    place.path("job.yaml").write_text("command: a\n")
    assert "nobody.yaml: cannot be read" in place.refuse("enqueue", "nobody.yaml", code=2)
    assert "aqueue's own" in place.refuse("enqueue", "job.yaml", "--", "AQUEUE_ID=1", code=2)
    assert "nowhere" in place.refuse("enqueue", "--default-working-dir", "nowhere", "job.yaml", code=2)
    assert place.ls() == []
