"""Options of `add` and `enqueue` that say what a task file could say."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aqueue import Client
from aqueue.cli.command_line import cli
from aqueue.errors import AqueueError
from aqueue.model.run import State
from aqueue.model.values import stands_for


def ask(queue: Client, *words: str) -> Result:
    return CliRunner().invoke(cli, ["--dir", str(queue.path), *words])


def test_add_takes_params_retries_a_directory_and_outputs(queue: Client, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    words = "--param lr=0.1 --param lr.max=1e-3 --retries 2 --working-dir sub --outputs a.json,models --outputs b"
    ask(queue, "add", "-n", "cli", *words.split(), "true")
    queue.add(
        "true",
        name="api",
        params={"lr": 0.1, "lr.max": 1e-3},
        retries=2,
        working_dir=tmp_path / "sub",
        outputs=["a.json", "models", "b"],
    )
    for task in (queue.run("cli").task, queue.run("api").task):
        assert {name: stands_for(value) for name, value in task.params.items()} == {"lr": 0.1, "lr.max": 0.001}
        assert (task.retries.limit, task.working_dir) == (2, str(tmp_path / "sub"))
        assert task.outputs == ("a.json", "models", "b")


def test_retries_are_those_that_are_configured_unless_given(queue: Client) -> None:
    (queue.path / "aqueue.yaml").write_text("defaults: {retries: 1}\n")
    assert [queue.add("true", retries=given).task.retries.limit for given in (None, 3, 0)] == [1, 3, 0]


def test_enqueue_takes_variables_a_timeout_a_directory_and_hold(queue: Client, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    file = tmp_path / "t.yaml"
    file.write_text("command: echo\nworking_dir: other\ntimeout: 1h\nenv: {A: 1, B: 2}\n")
    words = "--env B=3 --env C=4 --timeout 90s --working-dir sub --hold"
    ask(queue, "enqueue", "-n", "cli", *words.split(), str(file))
    queue.enqueue(file, name="api", env={"B": 3, "C": 4}, timeout=90, working_dir="sub", hold=True)
    for run in (queue.run("cli"), queue.run("api")):
        assert run.state is State.HELD
        assert run.task.env == {"A": "1", "B": "3", "C": "4"}
        assert (run.task.timeout, run.task.working_dir) == (90.0, str(tmp_path / "sub"))
    (without,) = queue.enqueue(file, timeout=0)
    assert (without.task.timeout, without.state) == (None, State.QUEUED)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("add --param lr true", "--param lr: expected K=V"),
        ("add --param AQUEUE_X=1 true", "AQUEUE_X: names that begin with AQUEUE_ are aqueue's own"),
        ("add --outputs ../x true", "outputs: expected a path within the working directory"),
        ("add --retries -1 true", "'-1' is not a whole number from 0"),
        ("enqueue --env CUDA_VISIBLE_DEVICES=1 --gpus 1 t.yaml", "cannot be used together"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_queued(
    queue: Client, tmp_path: Path, words: str, said: str
) -> None:
    (tmp_path / "t.yaml").write_text("command: 'true'\n")
    done = ask(queue, *words.split())
    assert done.exit_code != 0
    assert said in (str(done.exception) if isinstance(done.exception, AqueueError) else done.stderr)
    assert queue.runs() == []


def test_several_values_are_for_enqueue(queue: Client) -> None:
    done = ask(queue, "add", "--param", "lr=[1,2]", "true")
    assert "`add` queues a single run" in str(done.exception)


def test_a_directory_that_does_not_exist_is_doubted(queue: Client) -> None:
    warnings: list[str] = []
    Client(queue.path, warn=warnings.append).add("true", name="t", working_dir="nowhere")
    assert [text for text in warnings if "working directory" in text] == [
        f"t: its working directory {queue.path.parent / 'nowhere'} does not exist"
    ]
