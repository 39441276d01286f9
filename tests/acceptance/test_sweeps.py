"""Sweeps: a file, or a command, that stands for a run of each combination of its params."""

import json
import time

import pytest

from tests.acceptance.driving import Place, Row
from tests.waiting import eventually

pytestmark = pytest.mark.at_length

SIX = "matrix: {lr: [0.1, 0.01], seed: 'range(1, 4)'}\n"


def params(rows: list[Row]) -> list[tuple[object, ...]]:
    return [tuple(row["params"].values()) for row in rows]


def test_each_combination_is_a_run_with_its_params_a_number_and_a_common_group(place: Place) -> None:
    server = place.serve("-j", "6")
    place.task("train", "echo $lr $seed $AQUEUE_NAME", SIX, "queue: gpu")
    server.says("succeeded", times=6)
    rows = place.ls("--group", "train")
    assert [row["name"] for row in rows] == [f"train-{number}" for number in range(1, 7)]
    assert params(rows) == [(lr, seed) for lr in (0.1, 0.01) for seed in (1, 2, 3)]
    assert {row["group"] for row in rows} == {"train"}
    assert place.output(rows[4]) == "0.01 2 train-5\n"
    server.says("accepted 1-6 train-1 … train-6 in queue gpu (train.yaml)")


def test_combinations_are_excluded_and_included_and_filled_in(place: Place) -> None:
    place.drop(
        "train.yaml",
        "command: [echo, '${lr}-${seed}-${note}']\n"
        "params: {note: plain}\n"
        "matrix:\n"
        "  lr: [1, 2]\n"
        "  seed: [1, 2]\n"
        "  exclude: [{lr: 2, seed: 1}]\n"
        "  include:\n"
        "  - {lr: 1, note: low}\n"
        "  - {lr: 9, seed: 9}\n",
    )
    place.drain()
    outputs = [place.output(row).strip() for row in place.ls()]
    assert outputs == ["1-1-low", "1-2-low", "2-2-plain", "9-9-plain"]


def test_a_sweep_of_one_value_each_as_it_is_written(place: Place) -> None:
    place.task("one", "echo [$a] [$b] [$c]", "matrix: {a: [x], b: [3.10], c: false}")
    place.drain()
    assert place.output(place.rows()["one-1"]) == "[x] [3.10] [false]\n"


def test_a_sweep_that_is_too_much_is_rejected_and_no_run_of_it_is_queued(place: Place) -> None:
    wrong = {
        "axis": ("matrix: {x: range(10001)}", "2:13: matrix.x: 'range(10001)': it has 10,001 values"),
        "matrix": (
            "matrix: {x: range(100), y: range(101)}",
            "2:9: matrix: there are 10,100 combinations, and the maximum is 10,000",
        ),
        "name": (f"name: {'x' * 63}\nmatrix: {{x: range(10)}}", "2:7: the name is too long for a sweep"),
    }
    for name, (line, _) in wrong.items():
        place.task(name, "true", line)
    place.task("good", "true")
    place.drain()
    assert [row["name"] for row in place.ls()] == ["good"]
    for name, (_, complaint) in wrong.items():
        assert complaint in (place.folder / f"rejected/{name}.yaml.error").read_text()
        assert complaint in place.refuse("enqueue", f"queue/rejected/{name}.yaml", code=2)


def test_params_of_the_command_line_make_a_sweep(place: Place) -> None:
    place.init()
    place.path("train.yaml").write_text("command: echo $lr $seed $epochs\nparams: {lr: 5, epochs: 3}\n")
    ids = place.run("enqueue", "--new", "seed=range(1,3)", "train.yaml", "--", "lr=[0.1,0.01]").split()
    assert ids == ["1", "2", "3", "4"]
    place.drain()
    rows = place.ls()
    assert [place.output(row) for row in rows] == ["0.1 1 3\n", "0.1 2 3\n", "0.01 1 3\n", "0.01 2 3\n"]
    assert {row["group"] for row in rows} == {"train"}


def test_another_name_is_that_of_the_runs_and_the_group(place: Place) -> None:
    place.init()
    place.path("train.yaml").write_text(f"command: 'true'\n{SIX}")
    place.run("enqueue", "-N", "night", "-u", "gpu", "--priority", "high", "train.yaml", "--", "seed=7")
    rows = place.ls()
    assert [(row["name"], row["group"], row["queue"], row["priority"]) for row in rows] == [
        ("night-1", "night", "gpu", "high"),
        ("night-2", "night", "gpu", "high"),
    ]
    assert "too long for a sweep" in place.refuse("enqueue", "-N", "x" * 63, "train.yaml", code=2)
    assert "a sweep has several runs" in place.refuse("enqueue", "-r", "mine", "train.yaml", code=2)
    assert len(place.ls()) == 2


def test_the_same_seed_picks_the_same_combinations_in_a_file_and_in_a_command(place: Place) -> None:
    place.init()
    place.path("train.yaml").write_text(
        "command: 'true'\nmatrix: {lr: 'loguniform(1e-5, 0.1)'}\nsamples: 3\nseed: 4\n"
    )
    for options in ([], ["--seed", "4", "--samples", "3"], ["--seed", "5"], ["--samples", "2"]):
        place.run("enqueue", *options, "train.yaml")
    found = params(place.ls())
    assert found[:3] == found[3:6]
    assert set(found[6:9]).isdisjoint(found[:3])
    # Fewer samples are the first of more.
    assert found[9:] == found[:2]


def test_a_held_sweep_is_released_by_its_group(place: Place) -> None:
    server = place.serve("-j", "3")
    place.task("train", "echo $AQUEUE_NAME >>ran", "matrix: {x: range(3)}", "hold: true")
    server.says("accepted 1-3 train-1 … train-3 (train.yaml), held")
    place.run("release", "--group", "train")
    server.says("succeeded", times=3)
    assert sorted(place.lines("ran")) == ["train-1", "train-2", "train-3"]


def test_a_group_is_waited_for_and_only_what_failed_of_it_retried(place: Place) -> None:
    place.serve("-j", "4")
    place.task("other", place.until("go"), "queue: other")
    place.task("train", "test $x != 1 -o -e mended", "matrix: {x: range(3)}")
    eventually(lambda: len(place.ls()) == 4)
    done = place.ask("wait", "--group", "train")
    assert done.returncode == 1
    assert sorted(line.split(" after ")[0] for line in done.stdout.splitlines()) == [
        "2 train-1 succeeded",
        "3 train-2 failed",
        "4 train-3 succeeded",
    ]
    place.path("mended").touch()
    place.run("retry", "--group", "train", "--failed")
    place.run("wait", "--group", "train")
    assert [row["attempt"] for row in place.ls("--group", "train")] == [1, 2, 1]
    assert place.rows()["other"]["state"] == "running"


def test_a_group_is_cancelled_whatever_of_it_is_over_already(place: Place) -> None:
    place.serve("-j", "2")
    place.task("train", f"test $x = 0 || {place.until('never')}", "matrix: {x: range(4)}")
    place.becomes("train-1", "succeeded")
    place.becomes("train-2", "running")
    place.run("cancel", "--group", "train")
    place.becomes("train-2", "aborted")
    place.becomes("train-3", "aborted")
    assert [row["state"] for row in place.ls("--group", "train")] == ["succeeded"] + ["aborted"] * 3
    for command in ("cancel", "retry", "wait", "hold", "release"):
        assert "there is no group nothing" in place.refuse(command, "--group", "nothing", code=1)


def test_a_file_that_is_dropped_again_is_another_sweep_of_the_same_group(place: Place) -> None:
    for _ in range(2):
        place.task("train", "echo $x", "matrix: {x: range(2)}")
        place.drain()
    rows = place.ls("--group", "train")
    assert [row["name"] for row in rows] == ["train-1", "train-2"] * 2
    assert len({row["run_id"] for row in rows}) == 4
    assert [place.output(row) for row in rows] == ["0\n", "1\n"] * 2


@pytest.mark.parametrize("patience", [0.0, 0.05, 0.1])
def test_a_server_that_is_killed_accepts_all_of_a_sweep_or_nothing(place: Place, patience: float) -> None:
    server = place.serve("-q", wait=False)
    place.task("train", "true", "hold: true", "matrix: {x: range(1000)}")
    eventually(lambda: not (place.folder / "train.yaml").exists())
    # Its runs are in the store sooner or later: whatever this moment is, either all or none are there.
    time.sleep(patience)
    server.kill()
    assert len(place.ls()) in (0, 1000)
    place.drain("-q")
    assert [row["name"] for row in place.ls()] == [f"train-{number}" for number in range(1, 1001)]
    assert not list((place.state / "incoming").iterdir())


def test_two_servers_share_a_sweep_and_run_each_of_it_once(place: Place) -> None:
    place.serve("-j", "2")
    place.serve("-j", "2")
    place.task("train", "echo $x >>ran", "matrix: {x: range(40)}")
    eventually(lambda: len(place.lines("ran")) >= 40)
    place.run("wait", "--group", "train")
    assert sorted(map(int, place.lines("ran"))) == list(range(40))


def test_check_shows_what_a_sweep_makes(place: Place) -> None:
    place.init()
    place.path("train.yaml").write_text(f"command: 'true'\n{SIX}---\nname: eval\ncommand: 'true'\nneeds: train\n")
    shown = place.run("check", "train.yaml").splitlines()
    assert shown[:3] == ["train.yaml: 2 tasks: train, eval", "  train: 6 runs", "    train-1: lr=0.1, seed=1"]
    place.path("train.yaml").write_text("command: 'true'\nmatrix: {x: range(10000)}\n")
    assert len(place.run("check", "train.yaml").splitlines()) == 11


def test_ls_shows_a_group_as_json_and_as_a_table(place: Place) -> None:
    place.init()
    place.path("train.yaml").write_text("command: 'true'\nmatrix: {x: range(60)}\n")
    place.run("enqueue", "train.yaml")
    place.add("true", "-n", "other")
    assert len(json.loads(place.run("ls", "--group", "train", "--json"))) == 60
    done = place.ask("ls", "--group", "train")
    assert "other" not in done.stdout
    assert "10 more" in done.stderr


def test_of_a_sweep_that_was_queued_again_only_the_newest_runs_are_waited_for_and_retried(place: Place) -> None:
    place.init()
    place.path("w.yaml").write_text('command: test -e "$PWD/fixed"\nmatrix: {a: [1, 2]}\n')
    place.run("enqueue", "w.yaml")
    place.drain()
    assert place.ask("wait", "--group", "w").returncode == 1
    place.path("fixed").touch()
    place.run("enqueue", "w.yaml")
    place.drain()
    place.run("wait", "--group", "w")
    assert "nothing to do" in place.ask("retry", "--group", "w", "--failed").stderr
    assert [row["state"] for row in place.ls()] == ["failed", "failed", "succeeded", "succeeded"]
