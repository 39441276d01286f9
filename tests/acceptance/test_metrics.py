"""Metrics of runs: stored, listed, compared and drawn."""

import csv
import io
import json
import os
import pty
import re
import shlex
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.driving import Place

pytestmark = pytest.mark.at_length


def measures(**metrics: Any) -> str:
    """A piece of shell that writes a metrics.json where it runs."""
    return f"echo {shlex.quote(json.dumps(metrics))} >metrics.json"


def parsed(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# Into the store


def test_a_metrics_json_and_lines_of_the_output_are_in_the_store(place: Place) -> None:
    place.task("here", measures(loss=0.5, train={"acc": 0.75}, best=True, text="ok", none=None, some=[1]))
    place.task("there", 'echo \'{"loss": 0.25}\' >"$AQUEUE_RUN_DIR/metrics.json"')
    place.task("said", "echo AQUEUE_METRIC loss=1; echo AQUEUE_METRIC loss=2e-3 acc=nan; exit 3")
    place.task("silent", "echo nothing")
    place.drain()
    rows = place.rows()
    assert rows["here"]["metrics"] == {"loss": 0.5, "train.acc": 0.75, "best": True, "text": "ok"}
    assert rows["there"]["metrics"] == {"loss": 0.25}
    assert (rows["said"]["state"], rows["said"]["metrics"]) == ("failed", {"loss": 0.002, "acc": None})
    assert rows["silent"]["metrics"] is None


def test_a_retry_has_metrics_of_its_own_and_no_others(place: Place) -> None:
    folder = 'echo \'{"loss": 1}\' >"$AQUEUE_RUN_DIR/metrics.json"'
    first = f"{folder}; {measures(acc=1)}; echo AQUEUE_METRIC a=1; exit 1"
    place.task("once", f"[ $AQUEUE_ATTEMPT = 2 ] || {{ {first}; }}", "retries: 1")
    place.task("twice", f"[ $AQUEUE_ATTEMPT = 2 ] || {{ {first}; }}; sleep 0.1; {folder}; exit 1", "retries: 1")
    place.drain()
    rows = place.rows()
    assert (rows["once"]["attempt"], rows["once"]["metrics"]) == (2, None)
    assert (rows["twice"]["attempt"], rows["twice"]["metrics"]) == (2, {"loss": 1})


def test_what_is_wrong_with_metrics_is_said_in_the_output_and_is_no_failure(place: Place) -> None:
    place.task("broken", "echo '{\"loss\": ' >metrics.json; echo AQUEUE_METRIC acc = 1; echo AQUEUE_METRIC a=1")
    place.drain()
    (row,) = place.ls()
    assert (row["state"], row["metrics"]) == ("succeeded", {"a": 1})
    assert "metrics.json is not JSON" in place.output(row)
    assert "the line 'AQUEUE_METRIC acc = 1' has no name=value" in place.output(row)


# Listed


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A place with a group of runs that have measured something, and one run that has not; to look at only."""
    place = Place(tmp_path_factory.mktemp("measured"))
    try:
        place.init()
        place.drop(
            "train.yaml",
            "command: |\n"
            "  [ $seed = 3 ] && loss=nan || loss=$lr$seed\n"
            "  echo AQUEUE_METRIC loss=$loss acc=0.1234567$AQUEUE_ID note=[red]\n"
            "params: {model: net}\n"
            "matrix: {lr: [0.1, 0.002], seed: [1, 2, 3], opt: [adam]}\n",
        )
        place.drain()
        place.add("exit 3", "-n", "other")
        place.drain()
        yield place
    finally:
        place.close()


def first_of(table: str, column: int = 0) -> list[str]:
    """One column of a table, without its header."""
    return [line.split()[column] for line in table.splitlines()[1:]]


def test_a_group_is_listed_alone(measured: Place) -> None:
    names = [f"train-{number}" for number in range(1, 7)]
    assert first_of(measured.run("ls", "--group", "train"), 1) == names[::-1]
    assert [row["name"] for row in measured.ls("--group", "train")] == names
    assert {row["group"] for row in measured.ls("--group", "train")} == {"train"}
    assert measured.ls("--group", "train", "--failed") == []
    assert measured.ls("--group", "train", "--limit", "1")[0]["name"] == "train-6"
    assert measured.rows()["other"]["group"] is None
    assert measured.refuse("ls", "--group", "trian", code=1) == (
        "error: there is no group trian\ndid you mean train?\n"
    )


def test_params_and_metrics_are_a_table(measured: Place) -> None:
    table = measured.run("ls", "--group", "train", "--metrics").splitlines()
    assert [line.split("\t") for line in table[:3]] == [
        ["ID", "NAME", "STATE", "lr", "seed", "loss", "acc", "note"],
        ["1", "train-1", "succeeded", "0.1", "1", "0.11", "0.123457", "[red]"],
        ["2", "train-2", "succeeded", "0.1", "2", "0.12", "0.123457", "[red]"],
    ]
    assert len(table) == 7
    everything = measured.ask("ls", "--metrics", "--limit", "2", "--group", "train")
    assert first_of(everything.stdout, 1) == ["train-5", "train-6"]
    assert everything.stderr == "the same for all: model=net, lr=0.002, opt=adam\n4 more; --limit shows them\n"


def test_columns_are_chosen_and_what_tells_runs_apart_is_shown(measured: Place) -> None:
    chosen = measured.run("ls", "--group", "train", "--limit", "2", "--columns", "name,lr, loss,exit_code,why")
    assert chosen == "NAME\tlr\tloss\tEXIT_CODE\tWHY\ntrain-6\t0.002\tnan\t0\t\ntrain-5\t0.002\t0.0022\t0\t\n"
    table = measured.run("ls", "--csv", "--columns", "id,finished_at,why", "--failed")
    assert re.fullmatch(r"id,finished_at,why\n7,\d{4}-\d\d-\d\dT[\d:.]+Z,exit code 3\n", table)
    header, *rows = (line.split("\t") for line in measured.run("ls", "--sort", "exit_code").splitlines())
    assert header == ["ID", "NAME", "QUEUE", "STATE", "TOOK", "PROGRESS", "WHEN", "COMMAND", "WHY"]
    assert [row[7] for row in (rows[0], rows[-1])] == ["lr=0.1 seed=1", "exit 3"]
    assert measured.run("ls", "--since", "1h").count("\n") == 8
    assert measured.run("ls", "--since", "2999-01-01", "--failed").count("\n") == 1
    assert "is not a time such as 2d" in measured.refuse("ls", "--since", "soon", code=2)
    assert "a column is empty" in measured.refuse("ls", "--columns", "id,,lr", code=2)
    assert "none of 7 runs has 'no'" in measured.refuse("ls", "--columns", "no", code=1)
    assert "--watch needs a terminal" in measured.refuse("ls", "--watch", code=2)


def test_a_narrow_terminal_has_the_columns_that_fit(measured: Place) -> None:
    ours, theirs = pty.openpty()
    process = measured.start(
        "ls",
        "--metrics",
        "--limit",
        "1",
        "--sort",
        "id",
        env={"COLUMNS": "40"},
        stdout=theirs,
        stderr=subprocess.PIPE,
    )
    _, error = process.communicate(timeout=30)
    os.close(theirs)
    with os.fdopen(ours, "rb") as terminal:
        printed = re.sub(rb"\x1b\[[0-9;]*m", b"", terminal.read1()).decode().splitlines()
    assert [line.split() for line in printed] == [
        ["ID", "NAME", "STATE", "model", "lr", "seed"],
        ["1", "train-1", "succeeded", "net", "0.1", "1"],
    ]
    left_out = "4 columns left out: opt, loss, acc, note; --columns chooses, --csv has all\n"
    assert error.decode() == left_out + "6 more; --limit shows them\n"


def test_a_table_is_sorted_by_whatever_it_has(measured: Place) -> None:
    def order(key: str, *options: str) -> list[str]:
        return first_of(measured.run("ls", "--metrics", "--sort", key, *options))

    # Those without a number are last, both ways, and least is known of what has none.
    assert order("loss") == ["4", "5", "1", "2", "3", "6", "7"]
    assert order("-loss") == ["2", "1", "5", "4", "3", "6", "7"]
    assert order("-loss", "--limit", "2") == ["2", "1"]
    assert order("lr", "--group", "train") == ["4", "5", "6", "1", "2", "3"]
    assert order("-id") == ["7", "6", "5", "4", "3", "2", "1"]
    assert first_of(measured.run("ls", "--sort", "name", "--limit", "2"), 1) == ["other", "train-1"]
    assert [row["id"] for row in measured.ls("--sort", "-seed", "--limit", "3")] == [3, 6, 2]
    complaint = measured.refuse("ls", "--metrics", "--sort", "los", code=1)
    assert complaint == (
        "error: none of 7 runs has 'los'\nthere are columns: id, name, queue, state, took, when, command, reason,"
        " priority, group, tags, gpus, attempt, exit_code, created_at, started_at, finished_at, scheduled_for,"
        " trigger, working_dir, run_id, why; params: model, lr, seed, opt; metrics: loss, acc, note\n"
    )


def test_tables_are_printed_as_csv_with_all_that_there_is(measured: Place) -> None:
    rows = parsed(measured.run("ls", "--metrics", "--csv"))
    assert list(rows[0]) == ["id", "name", "state", "model", "lr", "seed", "opt", "loss", "acc", "note"]
    assert [row["id"] for row in rows] == ["1", "2", "3", "4", "5", "6", "7"]
    assert rows[2] == {
        "id": "3", "name": "train-3", "state": "succeeded", "model": "net", "lr": "0.1", "seed": "3",
        "opt": "adam", "loss": "nan", "acc": "0.12345673", "note": "[red]",
    }  # fmt: skip
    assert (rows[6]["name"], rows[6]["state"], rows[6]["loss"]) == ("other", "failed", "")
    (plain,) = parsed(measured.run("ls", "--csv", "--failed"))
    assert 0 <= float(plain.pop("took")) < 30
    assert plain == {"id": "7", "name": "other", "queue": "other", "state": "failed", "why": "exit code 3"}
    assert "cannot be used together" in measured.refuse("ls", "--csv", "--json", code=2)


# Compared


def compared(place: Place, *arguments: str) -> tuple[list[list[str]], str]:
    done = place.ask("compare", *arguments)
    assert done.returncode == 0, done.stderr
    title, *table = done.stdout.splitlines()
    assert " over " in title
    return [line.split() for line in table], done.stderr


def test_what_runs_measured_is_compared_in_a_table(measured: Place) -> None:
    left_out = "2 runs left out: lr or loss is not a finite number\n"
    assert compared(measured, "--group", "train", "-x", "lr", "-y", "loss") == (
        [
            ["lr", "N", "MIN", "MEDIAN", "MAX"],
            ["0.002", "2", "0.0021", "0.00215", "0.0022"],
            ["0.1", "2", "0.11", "0.115", "0.12"],
        ],
        left_out,
    )
    table, _ = compared(measured, "-x", "lr", "-y", "loss", "--by", "seed")
    assert table == [
        ["lr", "seed", "N", "MIN", "MEDIAN", "MAX"],
        ["0.002", "1", "1", "0.0021", "0.0021", "0.0021"],
        ["0.002", "2", "1", "0.0022", "0.0022", "0.0022"],
        ["0.1", "1", "1", "0.11", "0.11", "0.11"],
        ["0.1", "2", "1", "0.12", "0.12", "0.12"],
    ]
    table, said = compared(measured, "-x", "state", "-y", "id", "--by", "seed")
    assert ([row[:3] for row in table[1:]], said) == (
        [["succeeded", "1", "2"], ["succeeded", "2", "2"], ["succeeded", "3", "2"], ["failed", "no", "seed"]],
        "",
    )


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("--group trian -x lr -y loss", 1, "there is no group trian"),
        ("--tag none -x lr -y loss", 1, "there are no runs to compare"),
        ("-x rl -y loss", 1, "none of 7 runs has 'rl'\nthere are columns: id,"),
        ("-x lr -y los", 1, "none of 7 runs has 'los'"),
        ("-x lr -y loss --by sed", 1, "none of 7 runs has 'sed'"),
        ("-x lr", 2, "Missing option '-y'"),
        ("-x lr -y loss --log x", 2, "--log is only for plots\nuse it with --save FILE"),
        (
            "-x lr -y loss --save plot.jpg",
            2,
            "plot.jpg: this format is not supported\nuse one of .png, .svg, .pdf",
        ),
        ("-x lr -y loss --save plot", 2, "plot: this format is not supported"),
    ],
)
def test_what_cannot_be_compared_is_refused(measured: Place, arguments: str, code: int, words: str) -> None:
    assert words in measured.refuse("compare", *arguments.split(), code=code)


def test_where_no_run_has_both_it_is_said_what_there_is(measured: Place) -> None:
    done = measured.ask("compare", "-x", "lr", "-y", "note")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "6 runs left out: lr or note is not a finite number",
        "error: none of 7 runs has both lr and a number as note",
        "there are columns: id, name, queue, state, took; params: model, lr, seed, opt; metrics: loss, acc, note",
    ]


def test_without_matplotlib_it_is_said_how_to_get_it(place: Place) -> None:
    place.init()
    place.add("echo AQUEUE_METRIC loss=1")
    place.drain()
    missing = place.base / "missing" / "matplotlib.py"
    missing.parent.mkdir()
    missing.write_text("raise ModuleNotFoundError('no', name='matplotlib')\n")
    complaint = place.refuse(
        "compare", "-x", "id", "-y", "loss", "--save", "plot.png", code=1, env={"PYTHONPATH": str(missing.parent)}
    )
    assert (
        complaint
        == "error: plots need matplotlib\ninstall it in the environment of aqueue: pip install matplotlib\n"
    )
    assert not place.path("plot.png").exists()


def test_what_runs_measured_is_drawn(measured: Place) -> None:
    pytest.importorskip("matplotlib", reason="the extra 'plot' is not installed")
    arguments = ("compare", "--group", "train", "-x", "lr", "-y", "loss", "--by", "seed", "--save")
    # What a person has set up for windows is of no matter, nor is it that there are none.
    done = measured.ask(*arguments, "plot.svg", env={"MPLBACKEND": "nonsense", "DISPLAY": ""})
    assert (done.returncode, done.stdout) == (0, "plot.svg: loss over lr of 4 runs\n")
    assert done.stderr.startswith("2 runs left out: ")
    found = re.findall(r"<text[^>]*>(.*?)</text>", measured.path("plot.svg").read_text(), re.DOTALL)
    assert {"train", "lr", "loss", "seed", "1", "2"} <= set(found)
    refused = measured.ask(*arguments, "nowhere/plot.png")
    assert refused.returncode == 1
    assert "error: nowhere/plot.png: No such file or directory" in refused.stderr
