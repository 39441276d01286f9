"""The common ground of all commands: naming runs, finding the folder, errors, and completion."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import aqueue
from tests.acceptance.driving import AQUEUE, Place, sleeps, watches
from tests.waiting import eventually

VERBS = (
    *("init", "serve", "add", "enqueue", "check", "ls", "status", "show", "logs", "wait"),
    *("cancel", "retry", "hold", "release", "prune"),
)
PROGRAM = Path(sys.executable).with_name("aqueue")


def test_the_program_and_the_module_are_the_same(place: Place) -> None:
    said = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout
    assert said == place.run("--version") == f"aqueue {aqueue.__version__}\n"


def test_help_lists_every_command_and_each_has_help_of_its_own(place: Place) -> None:
    listed = place.run("--help")
    for verb in VERBS:
        assert f"\n  {verb} " in listed
    assert "--idle-timeout" in place.run("serve", "-h")
    assert "Usage" in place.run("logs", "--help")


def test_init_makes_a_folder_and_a_second_time_does_no_harm(place: Place) -> None:
    said = place.run("init")
    assert "queue/ is ready" in said
    assert (place.state / "state.db").exists()
    assert place.add("true", "--hold") == "1"
    place.run("init")
    assert place.ls()[0]["id"] == 1
    place.run("init", "other/tasks")
    assert (place.base / "other/tasks/.aqueue").is_dir()


def test_the_folder_is_found_as_git_finds_its_repository(place: Place) -> None:
    place.init()
    place.run("init", "second")
    place.add("true", "-n", "first")
    deep = place.base / "a/b/c"
    deep.mkdir(parents=True)
    ls = ("ls", "--json")

    def names(*arguments: str, cwd: Path = place.base, **env: str) -> list[str]:
        return [row["name"] for row in json.loads(place.run(*arguments, cwd=cwd, env=env))]

    assert names(*ls, cwd=deep) == ["first"]
    assert names(*ls, cwd=place.folder) == ["first"]
    assert names(*ls, "--dir", "second") == []
    assert names("--dir", "second", *ls) == []
    assert names(*ls, AQUEUE_DIR="second") == []
    assert names(*ls, "--dir", "queue", AQUEUE_DIR="second") == ["first"]


def test_where_there_is_no_folder_every_command_says_how_to_make_one(place: Place) -> None:
    for command in (("ls",), ("add", "--", "true"), ("wait",)):
        complaint = place.refuse(*command, code=1)
        assert complaint == (
            "error: there is no aqueue folder here or above\n"
            "make one with `aqueue init`, or name one with --dir or AQUEUE_DIR\n"
        )
    assert "aqueue init nowhere" in place.refuse("ls", "--dir", "nowhere", code=1)
    assert not place.folder.exists()


def test_a_run_is_named_by_id_or_run_id_or_both_of_its_names(place: Place) -> None:
    place.init()
    place.path("job.yaml").write_text("command: 'true'\n")
    place.run("enqueue", "-r", "first", "job.yaml")
    place.run("enqueue", "-r", "2024", "job.yaml")
    place.run("enqueue", "-r", "first", "-N", "twin", "job.yaml")
    place.run("enqueue", "-r", "3", "-N", "number", "job.yaml")
    assert place.show("job:first")["id"] == 1
    assert place.show("2024")["id"] == 2
    assert place.show("twin:first")["id"] == 3
    assert place.show("number:3")["id"] == 4
    # An id goes before a run-id that looks the same.
    assert place.show("3")["name"] == "twin"
    complaint = place.refuse("show", "first", code=1)
    assert complaint.splitlines() == ["error: several runs have the run-id first", "use NAME:RUN_ID"]


def test_a_run_that_does_not_exist_is_a_mistake_that_is_explained(place: Place) -> None:
    place.init()
    for run in ("99", "job:none", "9" * 30, ""):
        shown = run if run.isdecimal() else f"'{run}'"
        complaint = place.refuse("show", run, code=1)
        assert complaint.splitlines() == [f"error: there is no run {shown}", "`aqueue ls` lists the runs"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["lst"], "did you mean 'ls'?"),
        (["frobnicate"], "`aqueue --help` lists the commands"),
        (["ls", "--jsn"], "--json"),
        (["serve", "--idle-timeout", "soon"], "is not a duration"),
        (["serve", "-q", "-v"], "cannot be used together"),
        (["add"], "COMMAND"),
        (["add", "--priority", "urgent", "--", "true"], "urgent"),
        (["add", "-n", "a b", "--", "true"], "use 1 to 64 letters"),
        (["add", "--timeout", "1x", "--", "true"], "is not a duration"),
        (["cancel"], "no runs are given"),
        (["serve", "-j", "9" * 30], "is not a whole number from 1 to"),
        (["ls", "--limit", "9" * 30], "is not a whole number from 1 to"),
    ],
)
def test_wrong_usage_is_explained_and_exits_with_2(place: Place, arguments: list[str], expected: str) -> None:
    complaint = place.refuse(*arguments, code=2)
    assert expected in complaint
    assert not place.folder.exists()


def test_a_reader_who_has_seen_enough_is_no_error(place: Place) -> None:
    place.init()
    # More than a pipe holds: only then does the writer notice.
    place.path("many.yaml").write_text("---\n".join(["command: 'true'\n"] * 300))
    place.run("enqueue", "many.yaml")
    command = " ".join(AQUEUE)
    done = subprocess.run(
        ["sh", "-c", f"{command} ls --json | head -1; {command} ls --limit 300 | head -1"],
        cwd=place.base,
        env=place.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert done.stdout.split() == [
        "[",
        "ID",
        "NAME",
        "QUEUE",
        "STATE",
        "TOOK",
        "PROGRESS",
        "WHEN",
        "COMMAND",
        "WHY",
    ]


def test_what_a_table_has_to_say_is_not_cut_off_in_a_pipe(place: Place) -> None:
    place.init()
    place.add("true", "-n", "n" * 64, "-u", "q" * 64, "--hold")
    assert "n" * 64 in place.run("ls")
    assert "q" * 64 in place.run("ls")


@pytest.mark.parametrize("arguments", [["wait"], ["logs", "-f", "1"]])
def test_ctrl_c_is_silent_and_at_once(place: Place, arguments: list[str]) -> None:
    place.init()
    place.add("true")
    process = place.start(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "no server is running" in process.stderr.readline()
    eventually(lambda: watches(process.pid) and sleeps(process.pid))
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=3.0)
    # The end of the line on which a terminal shows ^C is all that may come.
    assert (process.returncode, out, err.strip()) == (130, "", "")


def complete(kind: str, place: Place, typed: str) -> list[str]:
    """Return what a shell offers after `aqueue …`."""
    words = f"aqueue {typed}"
    last = typed.rpartition(" ")[2]
    position = last if kind == "fish" else str(words.count(" "))
    env = place.environment | {
        "_AQUEUE_COMPLETE": f"{kind}_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": position,
    }
    done = subprocess.run([PROGRAM], cwd=place.base, env=env, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.replace(",", " ").split()


@pytest.mark.parametrize("kind", ["bash", "zsh", "fish"])
def test_shells_get_their_script_and_the_commands_to_complete(place: Place, kind: str) -> None:
    env = place.environment | {"_AQUEUE_COMPLETE": f"{kind}_source"}
    source = subprocess.run([PROGRAM], env=env, capture_output=True, text=True, check=True).stdout
    assert f"_AQUEUE_COMPLETE={kind}_complete" in source
    offered = complete(kind, place, "s")
    assert {"show", "serve", "status"} <= set(offered)
    assert "wait" not in offered


def test_options_and_runs_are_completed(place: Place) -> None:
    place.init()
    place.add("true", "-n", "train")
    assert "--idle-timeout" in complete("bash", place, "serve --i")
    assert "1" in complete("bash", place, "show ")
    place.add("true", "-n", "late", "--hold")
    assert "train" in complete("bash", place, "logs tr")
    assert [word for word in complete("bash", place, "hold ") if word != "plain"] == ["1"]
    assert [word for word in complete("bash", place, "cancel 1 ") if word != "plain"] == ["2"]


# The completion of bash is a script for bash.
@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash here")
def test_bash_itself_completes_commands_and_runs(place: Place) -> None:
    place.init()
    place.path("train.yaml").write_text("command: 'true'\n")
    for run_id in ("second", "first"):
        place.run("enqueue", "--run-id", run_id, str(place.path("train.yaml")))
    expected = {
        "rel": "release",
        "show tr": "train:first train:second",
        "show train": "train:first train:second",
        "show train :": "first second",
        "show train : s": "second",
        "show train:s": "train:second",
        "wait train : first train : ": "second",
    }
    script = """
        eval "$(_AQUEUE_COMPLETE=bash_source aqueue)"
        for words; do
            COMPREPLY=(); COMP_WORDS=(aqueue $words); COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _aqueue_completion aqueue; echo "${COMPREPLY[@]}"
        done
    """
    path = f"{PROGRAM.parent}{os.pathsep}{place.environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script, "bash", *expected],
        cwd=place.base,
        env=place.environment | {"PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout.splitlines(), done.stderr) == ([*expected.values()], "")


def test_ctrl_c_is_silent_while_the_command_is_still_being_loaded(place: Place) -> None:
    library = place.path("shadowed")
    library.mkdir()
    interrupted = "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(30)"
    (library / "click.py").write_text(interrupted)
    done = place.ask("ls", env={"PYTHONPATH": str(library)})
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_without_a_command_there_is_help(place: Place) -> None:
    done = place.ask()
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: ")


def test_a_directory_that_is_gone_is_told_as_such(place: Place) -> None:
    place.init()
    place.prefix = ("/bin/sh", "-c", 'mkdir gone; cd gone; rmdir ../gone; exec "$@"', "sh")
    assert "the current directory no longer exists" in place.refuse("--dir", str(place.folder), "ls", code=1)
