"""Values that know how they are written, and what becomes of a spelling on its way to a command."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.client.params import params_in
from aqueue.executors.command import environment
from aqueue.folder.layout import Folder
from aqueue.formats.sweep_syntax import parse_axis
from aqueue.formats.task_file import parse
from aqueue.formats.yaml_values import parse_scalar, parse_value
from aqueue.model.combinations import combinations
from aqueue.model.config import Defaults
from aqueue.model.submission import Submission
from aqueue.model.sweep import SweepError
from aqueue.model.task import Task
from aqueue.model.values import Scalar, Spelled, plain_text, spelled, stands_for
from tests.unit.records import a_run, a_task
from tests.unit.spellings import SPELLINGS

DEFAULTS = Defaults(name="train", working_dir="/home/me", base="/srv/base")
FOLDER = Folder(Path("/srv/queue"))

number = r"[-+]?([0-9]{1,20}|[0-9]{0,3}\.[0-9]{1,4}|[0-9]{1,4}\.)([eE][-+]?[0-9]{1,3})?"
word = r"[A-Za-z0-9_./+]{1,12}"
written = st.sampled_from(SPELLINGS) | st.from_regex(number, fullmatch=True) | st.from_regex(word, fullmatch=True)


def requests_in(text: str) -> list[Submission]:
    return parse(text, "train.yaml", DEFAULTS).requests


def stored(task: Task) -> Task:
    """The task as another process finds it in the store."""
    return msgspec.json.decode(msgspec.json.encode(task), type=Task)


def seen(task: Task) -> dict[str, str]:
    """The environment of a run of the task, once it has been in the store."""
    return environment(a_run(stored(task)), {}, FOLDER, "/work")


# In a file, an empty text has to be written so.
@given(written.filter(bool))
def test_a_param_arrives_as_it_is_written_and_is_kept_as_what_it_stands_for(text: str) -> None:
    (request,) = requests_in(f"command: x\nparams:\n  block: {text}\nenv: {{flow: {text}}}")
    task = stored(request.task)
    assert seen(task)["block"] == seen(task)["flow"] == text
    value, expected = stands_for(task.params["block"]), parse_scalar(text)
    assert (type(value), value) == (type(expected), expected)


@given(written)
def test_a_param_of_a_command_line_arrives_as_it_is_written(text: str) -> None:
    given_ = params_in([f"p={text}"], None, None)
    assert seen(a_task(params=given_.named))["p"] == text


@given(st.lists(written, min_size=1, max_size=4, unique=True).filter(lambda texts: "first" not in texts))
def test_the_values_of_a_sweep_arrive_as_they_are_written(texts: list[str]) -> None:
    # One time of day in a list may be a range of Guild's.
    texts = ["first", *texts]
    listed = ", ".join(text or "''" for text in texts)
    (request,) = requests_in(f"command: x\nmatrix: {{p: [{listed}]}}")
    assert [seen(task)["p"] for task in request.tasks()] == texts
    (request,) = requests_in(f'command: x\nmatrix: {{p: "choice({listed})"}}')
    assert [seen(task)["p"] for task in request.tasks()] == texts


@given(st.lists(written.filter(lambda text: parse_scalar(text) is not None), min_size=1, max_size=4))
def test_the_words_of_a_command_and_names_are_what_is_written(texts: list[str]) -> None:
    listed = "".join(f"- {text}\n" for text in texts)
    (request,) = requests_in(f"command:\n- x\n{listed}outputs: [a]\ntags:\n- a\n{listed}after:\n- a\n{listed}")
    task = stored(request.task)
    assert task.command == ("x", *texts)
    assert task.tags == request.after == tuple(dict.fromkeys(["a", *texts]))


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.booleans() | st.text() | st.none())
def test_what_is_written_as_we_write_it_is_just_itself(value: Scalar) -> None:
    assert spelled(plain_text(value), value) is value


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.none())
def test_a_value_keeps_its_spelling_in_the_store(text: str, value: float | bool | None) -> None:
    task = stored(a_task(params={"p": spelled(text, value)}))
    assert plain_text(task.params["p"]) == text
    assert stands_for(task.params["p"]) == value


def test_what_an_earlier_version_stored_is_read() -> None:
    task = json.loads(msgspec.json.encode(a_task()))
    read = msgspec.json.decode(json.dumps(task | {"params": {"a": 0.1, "b": None, "c": True}}), type=Task)
    assert read.params == {"a": 0.1, "b": None, "c": True}


@pytest.mark.parametrize("value", ["{text: a, value: 1}", "{as-written: a}", "{}", "[1]"])
def test_a_mapping_in_a_file_is_no_value(value: str) -> None:
    with pytest.raises(Exception, match="expected keys and plain values"):
        requests_in(f"command: x\nparams: {{p: {value}}}")


def test_values_are_compared_by_what_they_stand_for_whatever_their_spelling() -> None:
    (request,) = requests_in("command: x\nmatrix: {lr: [0.10, 1e-2], n: [1, 2], exclude: [{lr: 0.1, n: 1}]}")
    assert [(seen(task)["lr"], seen(task)["n"]) for task in request.tasks()] == [
        ("0.10", "2"), ("1e-2", "1"), ("1e-2", "2"),
    ]  # fmt: skip


def test_values_that_differ_in_nothing_but_their_spelling_are_told_apart_by_it() -> None:
    (request,) = requests_in(
        "command: x\nmatrix: {py: [3.1, 3.10, 3.9], exclude: [{py: 3.10}], include: [{py: 3.1, old: true}]}"
    )
    assert [dict(task.params) for task in request.tasks()] == [{"py": 3.1, "old": True}, {"py": 3.9}]


def test_samples_tell_values_apart_by_their_spelling() -> None:
    (request,) = requests_in("command: x\nmatrix: {py: [3.1, 3.10]}\nsamples: 2")
    assert {seen(task)["py"] for task in request.tasks()} == {"3.1", "3.10"}


def test_what_a_range_makes_is_spelt_as_python_spells_it() -> None:
    (request,) = requests_in("command: x\nmatrix: {lr: 'range(0.10, 0.40, 0.10)'}")
    assert [seen(task)["lr"] for task in request.tasks()] == ["0.1", "0.2", "0.3"]


@pytest.mark.parametrize(("text", "plain"), [("range(+3)", "range(3)"), ("uniform(0.0, 1.00)", "uniform(0, 1)")])
def test_bounds_may_be_spelt_in_any_way(text: str, plain: str) -> None:
    assert parse_axis(text) == parse_axis(plain)


def test_a_value_that_is_written_twice_is_refused() -> None:
    with pytest.raises(SweepError, match=r"3\.10 is given twice"):
        parse_axis([parse_value("3.10"), 1, parse_value("3.10")])


@pytest.mark.parametrize(
    ("text", "value"),
    [("1.20", 1.2), ("5319e70", 5319e70), ("True", True), ("off", False), ("~", None), ("null", None), ("+5", 5)],
)
def test_a_spelling_that_is_not_ours_is_kept(text: str, value: float | None) -> None:
    assert parse_value(text) == Spelled(text, value)


def test_a_file_of_ten_thousand_spellings_makes_as_many_combinations() -> None:
    (request,) = requests_in(f"command: x\nmatrix: {{p: [{', '.join(f'{n}.0' for n in range(10_000))}]}}")
    assert request.sweep is not None
    assert len(combinations(request.sweep)) == 10_000
