"""The words of a command line: options, the queued command, files, params."""

import shlex
import subprocess

import pytest

from tests.acceptance.driving import Place
from tests.acceptance.test_commands import complete

BAD = "comand: x\n"


def files(place: Place, **commands: str) -> None:
    place.init()
    for name, command in commands.items():
        place.path(f"{name}.yaml").write_text(command)


@pytest.mark.parametrize("dashes", [(), ("--",)])
@pytest.mark.parametrize(
    "words",
    [
        "tar -u arch",
        "git log -n 3",
        "python3 pa.py -n 5 --timeout 1s --tags x",
        "python train.py --lr 0.1 --no-such-option",
        "xargs -- rm -h",
    ],
)
def test_the_options_of_a_command_are_its_own(place: Place, words: str, dashes: tuple[str, ...]) -> None:
    place.init()
    place.run("add", "-n", "mine", *dashes, *words.split())
    row = place.show("mine")
    assert (row["command"], row["queue"], row["tags"]) == (words.split(), "mine", [])


def test_options_after_a_shell_command_are_refused_with_the_line_that_is_meant(place: Place) -> None:
    place.init()
    complaint = place.refuse("add", "python train.py", "--gpus", "1", code=2)
    assert "there is no program named 'python train.py'" in complaint
    assert "aqueue add --gpus 1 'python train.py'" in complaint
    assert place.ls() == []


def test_a_program_with_blanks_in_its_name_gets_its_arguments(place: Place) -> None:
    place.init()
    program = place.path("my program")
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    place.run("add", "-n", "mine", "./my program", "-n", "5")
    assert place.show("mine")["command"] == ["./my program", "-n", "5"]


def test_completion_offers_the_options_of_add_only_before_the_command(place: Place) -> None:
    place.init()
    assert "--gpus" in complete("bash", place, "add --g")
    assert complete("bash", place, "add git --g") == []
    assert complete("bash", place, "add tar -u ar") == ["file", "ar"]
    assert complete("bash", place, "add -n x py") == ["file", "py"]
    assert complete("bash", place, "enqueue -N x a.y") == ["file", "a.y"]


def test_several_files_are_queued_in_their_order(place: Place) -> None:
    files(place, a="command: 'true'\n", b="name: one\ncommand: 'true'\n---\nname: two\ncommand: 'true'\n")
    assert place.run("enqueue", "b.yaml", "a.yaml", "b.yaml", "--tags", "t") == "1\n2\n3\n4\n5\n"
    assert [row["name"] for row in place.ls()] == ["one", "two", "a", "one", "two"]
    assert {tuple(row["tags"]) for row in place.ls()} == {("t",)}


def test_several_files_are_queued_all_or_none(place: Place) -> None:
    files(place, a="command: 'true'\n", bad=BAD, late="command: 'true'\nafter: nobody\n")
    for other, what in (
        ("bad.yaml", "bad.yaml:1:1: unknown key"),
        ("late.yaml", "nobody"),
        ("no.yaml", "no.yaml"),
    ):
        complaint = place.ask("enqueue", "a.yaml", other)
        assert complaint.returncode in (1, 2)
        assert what in complaint.stderr
        assert "; nothing was queued" in complaint.stderr
        assert place.ls() == []


def test_tasks_of_one_file_are_no_needs_of_another(place: Place) -> None:
    files(place, a="command: 'true'\n", b="command: 'true'\nneeds: [a]\n")
    assert "there is no task a in this file" in place.refuse("enqueue", "a.yaml", "b.yaml", code=2)


def test_params_of_several_files_come_after_the_dashes_and_go_to_all(place: Place) -> None:
    files(place, a="command: echo $1\nparams: {lr: 1}\n", b="command: echo $1\nparams: {lr: 2}\n")
    place.run("enqueue", "a.yaml", "b.yaml", "--", "lr=3", "b.yaml")
    assert [row["params"] for row in place.ls()] == [{"lr": 3}, {"lr": 3}]
    place.run("enqueue", "a.yaml", "--", "lr=[1,2]")
    assert [row["params"]["lr"] for row in place.ls()[2:]] == [1, 2]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("a.yaml", "lr=0.5"), "aqueue enqueue a.yaml -- lr=0.5"),
        (("lr=0.5", "a.yaml"), "aqueue enqueue a.yaml -- lr=0.5"),
        (("a.yaml", "in", "lr=[1, 2]"), "aqueue enqueue a.yaml -- in 'lr=[1, 2]'"),
        (("lr=0.5",), "aqueue enqueue FILE -- lr=0.5"),
        (("a.yaml", "data.csv"), "aqueue enqueue a.yaml -- data.csv"),
        (("a.yaml", "queue"), "aqueue enqueue a.yaml -- queue"),
        (("--", "a.yaml"), "aqueue enqueue FILE -- PARAMS…"),
    ],
)
def test_params_without_the_dashes_are_refused_with_the_line_that_is_meant(
    place: Place, words: tuple[str, ...], meant: str
) -> None:
    files(place, a="command: 'true'\n")
    place.path("data.csv").write_text("1,2\n")
    assert meant in place.refuse("enqueue", *words, code=2)
    assert place.ls() == []


def test_one_name_or_run_id_is_not_given_to_several_files(place: Place) -> None:
    files(place, a="command: 'true'\n", b="command: 'true'\n")
    for option in ("-r", "-N"):
        assert "there are 2 tasks in 2 files" in place.refuse("enqueue", option, "x", "a.yaml", "b.yaml", code=2)
    assert place.ls() == []


@pytest.mark.parametrize(
    ("chosen", "option"),
    [("1", "'[1]'"), ("0,2", "0,2"), ("GPU-5d0c2a41", "GPU-5d0c2a41"), ("", "0"), ("-1", "0")],
)
def test_gpus_that_the_shell_has_chosen_are_not_dropped_silently(place: Place, chosen: str, option: str) -> None:
    files(place, a="command: 'true'\n", says="command: 'true'\nenv: {CUDA_VISIBLE_DEVICES: 1}\n")
    env = {"CUDA_VISIBLE_DEVICES": chosen}
    for words in (["add", "true"], ["enqueue", "a.yaml"]):
        said = place.ask(*words, env=env).stderr
        assert f"warning: CUDA_VISIBLE_DEVICES={chosen} is not passed on to the run" in said
        assert f"use `--gpus {option}`" in said
    place.run("add", *shlex.split(f"--gpus {option}"), "true", env=env)
    for words in (
        ["add", "--gpus", "1", "true"],
        ["add", "--env", "CUDA_VISIBLE_DEVICES", "true"],
        ["enqueue", "says.yaml"],
    ):
        assert "is not passed on" not in place.ask(*words, env=env).stderr
    # A run that queues another has the choice from aqueue.
    assert "is not passed on" not in place.ask("add", "true", env=env | {"AQUEUE_GPUS": chosen}).stderr


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("run", "did you mean 'add' or 'enqueue'?"),
        ("rm", "did you mean 'cancel' or 'prune'?"),
        ("ps", "did you mean 'ls'?"),
        ("top", "did you mean 'status' or 'ls'?"),
        ("kill", "did you mean 'cancel'?"),
        ("restart", "did you mean 'retry'?"),
        ("clean", "did you mean 'prune'?"),
        ("submit", "did you mean 'add' or 'enqueue'?"),
        ("help", "did you mean '--help'?"),
        ("stauts", "did you mean 'status'?"),
        ("lgos", "did you mean 'logs'?"),
        ("Enq", "did you mean 'enqueue'?"),
        ("rus", "`aqueue --help` lists the commands"),
        ("frobnicate", "`aqueue --help` lists the commands"),
    ],
)
def test_a_word_that_is_no_command_is_taken_for_one_only_if_it_is_a_slip_or_one_of_other_tools(
    place: Place, word: str, hint: str
) -> None:
    assert place.refuse(word, code=2) == f"error: there is no command '{word}'\n{hint}\n"


def test_init_names_the_folder_where_serve_would_take_another(place: Place) -> None:
    assert place.run("init", "my queue").endswith("run `aqueue serve 'my queue'`\n")
    assert place.run("init").endswith("run `aqueue serve`\n")
    assert place.run("init", env={"AQUEUE_DIR": "other"}).endswith("run `aqueue serve`\n")
    assert place.run("--dir", "third", "init").endswith("run `aqueue serve third`\n")


def test_the_usage_says_where_params_go(place: Place) -> None:
    assert "aqueue enqueue [OPTIONS] FILE… [-- PARAMS…]" in place.run("enqueue", "--help")


def test_subprocesses_see_no_difference(place: Place) -> None:
    """Assert that a command without dashes runs as it is typed."""
    place.init()
    place.run("add", "-n", "mine", "printf", "%s|", "-n", "--", "--gpus")
    place.drain()
    assert (
        place.output(place.show("mine"))
        == subprocess.run(
            ["printf", "%s|", "-n", "--", "--gpus"], capture_output=True, text=True, check=True
        ).stdout
    )
