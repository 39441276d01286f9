import string
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.errors import FileError
from aqueue.formats import run_text
from aqueue.formats.yaml_values import parse_value
from aqueue.model.notification import Event, Notify
from aqueue.model.submission import Submission
from aqueue.model.task import Isolation, Keep, Priority, Retries, Snapshot, Task
from tests.unit.records import a_task
from tests.unit.spellings import SPELLINGS

NAMES = st.sampled_from(["train", "1.20", "yes", "a-b_c", "007"])
WORDS = st.text(st.sampled_from(string.printable + "é…\x85\u2028\ufeff"), max_size=12) | st.sampled_from(
    [*SPELLINGS, "range(1, 3)", "[1, 2]", "${", "a: b", "- x", "# no", "'", "|", "line\n  and more\n", " \n x"]
)
TEXTS = WORDS.filter(lambda text: "${" not in text)
VALUES = TEXTS | st.sampled_from([parse_value(text) for text in SPELLINGS if text]) | st.floats(-1e20, 1e20)
LENGTHS = st.floats(0.001, 1e9) | st.integers(1, 10**9).map(float)
RETRIES = st.builds(
    Retries,
    limit=st.integers(0, 9),
    delay=st.just(0.0) | LENGTHS,
    backoff=st.just(1.0) | st.floats(1, 1e20),
    max_delay=st.none() | LENGTHS,
    exit_codes=st.lists(st.integers(0, 255), unique=True, max_size=3).map(tuple),
)
SNAPSHOT = Snapshot(repository="/srv/code/.git", commit="0" * 40)
ISOLATIONS = st.builds(
    Isolation, copy=st.sampled_from([(), (".env", "1.20")]), keep=st.sampled_from(Keep), snapshot=st.just(SNAPSHOT)
)
SIZES = st.none() | st.integers(1, 1 << 50)
GPUS = st.none() | st.integers(1, 8) | st.just((0, 2)) | st.just(("GPU-5d0c2a41", 1))
NOTIFY = st.sampled_from([Notify(on=()), Notify(on=(Event.FAILED,)), Notify(to=("phone", "1.20"))])
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "name": NAMES,
    "command": TEXTS.filter(str.strip)
    | st.lists(TEXTS, min_size=1, max_size=3).map(lambda words: ("echo", *words)),
    "working_dir": st.sampled_from(["/", "/srv/1.20", "/a b"]),
    "queue": st.none() | NAMES,
    "priority": st.sampled_from(Priority),
    "params": st.dictionaries(st.sampled_from(["lr", "yes", "model.depth", "seed"]), VALUES),
    "arguments": st.just(("a", "b")) | st.just(()),
    "base_env": st.just({"OMP_NUM_THREADS": "4"}),
    "env": st.dictionaries(st.sampled_from(["A", "on", "PATH"]), TEXTS),
    "shell": st.none() | st.just("/bin/bash"),
    "timeout": st.none() | LENGTHS,
    "log_limit": st.none() | st.integers(64 << 10, 1 << 50),
    "retries": RETRIES,
    "requeue": st.booleans(),
    "tags": st.lists(st.sampled_from(["a=b", "1.20", "nightly", "x: y"]), unique=True).map(tuple),
    "hold": st.booleans(),
    "group": st.none() | NAMES,
    "isolate": st.none() | ISOLATIONS,
    "outputs": st.just(()) | st.just(("metrics.json", "models/*.pt")),
    "stdin": st.sampled_from([None, "open"]),
    "progress": st.none() | st.just(r"epoch (\d+)/(\d+)"),
    "notify": st.none() | NOTIFY,
}
TASKS = st.builds(Task, **FIELDS)


def refusal(text: str, task: Task | None = None) -> str:
    with pytest.raises(FileError) as refused:
        run_text.parse(text, "run.yaml", task or a_task())
    return refused.value.text()


def test_all_that_a_task_may_say_is_tried() -> None:
    assert {*FIELDS, "gpus", "gpu_memory", "is_literal", "fault"} == {*Task.__struct_fields__}


@given(TASKS, GPUS, SIZES, st.lists(st.integers(1, 99).map(str), unique=True).map(tuple), st.booleans())
def test_an_unchanged_text_asks_for_the_same(
    task: Task, gpus: Any, gpu_memory: int | None, after: tuple[str, ...], after_any: bool
) -> None:
    task = msgspec.structs.replace(task, gpus=gpus, gpu_memory=gpu_memory if gpus else None)
    request = Submission(task=task, after=after, after_any=after_any and bool(after))
    assert run_text.parse(run_text.as_text(request), "run.yaml", task) == request


@given(st.lists(WORDS, max_size=3), st.dictionaries(st.just("A"), WORDS))
def test_a_literal_command_stays_what_it_is(words: list[str], env: dict[str, str]) -> None:
    task = a_task(command=("echo", *words), env=env, is_literal=True)
    made = run_text.parse(run_text.as_text(Submission(task=task)), "run.yaml", task).task
    assert not made.is_literal
    assert [word.replace("$${", "${") for word in made.command] == [
        word.replace("$${", "${") for word in task.command
    ]
    assert {name: text.replace("$${", "${") for name, text in made.env.items()} == {
        name: text.replace("$${", "${") for name, text in env.items()
    }


def test_the_text_has_only_what_is_no_default_in_the_order_of_the_documentation() -> None:
    task = a_task(command="python train.py\n", params={"lr": parse_value("0.10")}, timeout=5400.0, queue="gpu")
    assert run_text.as_text(Submission(task=task, after=("1", "2"))) == (
        "command: |\n  python train.py\nname: train\nqueue: gpu\nparams:\n  lr: 0.10\nworking_dir: /\n"
        "timeout: 1h30m\nafter: [1, 2]\n"
    )


def test_a_mistake_is_told_with_its_place() -> None:
    assert refusal("name: t\ncommand: x\ntimeot: 1h\n") == (
        "run.yaml:3:1: unknown key 'timeot'\ndid you mean 'timeout'?"
    )


@pytest.mark.parametrize(
    "line", ["matrix: {a: [1, 2]}", "schedule: '@daily'", "at: 2030-01-01", "matrix: {a: [1]}\nsamples: 1"]
)
def test_what_makes_new_runs_is_refused(line: str) -> None:
    message = refusal(f"name: t\ncommand: x\n{line}\n")
    assert message.startswith(f"run.yaml:3:1: {line.partition(':')[0]}: a run that exists cannot have it\n")


def test_a_second_task_is_refused() -> None:
    assert refusal("name: t\ncommand: x\n---\nname: u\ncommand: y\n") == (
        "run.yaml:4:1: a run has one task\nremove this document"
    )


def test_the_code_of_a_run_cannot_be_changed() -> None:
    isolated = a_task(isolate=Isolation(snapshot=SNAPSHOT), working_dir="/srv")
    assert "isolate: this cannot be changed any more" in refusal("name: t\ncommand: x\nisolate: git\n")
    assert "isolate: this cannot be changed any more" in refusal("name: t\ncommand: x\n", isolated)
    assert "working_dir: an isolated run cannot have another" in refusal(
        "name: t\ncommand: x\nisolate: git\nworking_dir: sub\n", isolated
    )
    changed = run_text.parse("name: t\ncommand: x\nisolate: {git: true, keep: never}\n", "run.yaml", isolated).task
    assert changed.isolate == Isolation(keep=Keep.NEVER, snapshot=SNAPSHOT)
