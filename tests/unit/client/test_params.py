"""Params of a command line: which tasks of a file they go to, and which of them make sweeps."""

import pytest

from aqueue.client.params import params_in
from aqueue.errors import UsageError
from aqueue.model.submission import Submission
from aqueue.model.sweep import Sweep
from tests.unit.records import a_task


def applied(
    *words: str, requests: list[Submission], samples: int | None = None
) -> dict[str, list[dict[str, object]]]:
    """The params of all runs of each task."""
    given = params_in(words, samples, None)
    found = [given.applied_to(request, requests) for request in requests]
    return {request.task.name: [dict(task.params) for task in request.tasks()] for request in found}


TRAIN = Submission(task=a_task(name="train", params={"lr": 0.1}))
SWEEP = Submission(task=a_task(name="sweep"), sweep=Sweep(axes={"lr": (0.1, 0.2)}, exclude=({"lr": 0.2, "n": 1},)))
REPORT = Submission(task=a_task(name="report"))


def test_one_value_goes_to_all_tasks() -> None:
    assert applied("n=1", requests=[TRAIN, REPORT]) == {"train": [{"lr": 0.1, "n": 1}], "report": [{"n": 1}]}


def test_several_values_go_to_the_tasks_that_have_the_param() -> None:
    runs = applied("lr=[1,2]", requests=[TRAIN, REPORT])
    assert runs == {"train": [{"lr": 1}, {"lr": 2}], "report": [{}]}


def test_several_values_of_a_new_param_go_to_the_sweeps_if_there_are_any() -> None:
    runs = applied("n=range(2)", requests=[SWEEP, REPORT])
    assert runs["report"] == [{}]
    assert len(runs["sweep"]) == 3
    assert applied("n=range(2)", requests=[TRAIN, REPORT])["report"] == [{"n": 0}, {"n": 1}]


def test_one_value_in_place_of_several_is_still_what_is_excluded() -> None:
    assert applied("lr=0.2", "n=[1,2]", requests=[SWEEP]) == {"sweep": [{"lr": 0.2, "n": 2}]}


def test_samples_are_for_sweeps() -> None:
    assert len(applied("lr=uniform(0, 1)", requests=[TRAIN], samples=7)["train"]) == 7
    with pytest.raises(UsageError, match="no sweep"):
        applied("lr=1", requests=[TRAIN], samples=7)


@pytest.mark.parametrize("word", ["lr=[0.1,", "lr=[1, 2", "lr=range(1,5"])
def test_brackets_that_are_not_closed_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match=r"(is|are) not closed"):
        params_in([word], None, None)


def test_numbers_with_commas_between_them_are_one_text_and_it_says_so() -> None:
    given = params_in(["lr=0.1,0.01"])
    assert given.named == {"lr": "0.1,0.01"}
    (note,) = given.notes
    assert "lr=[0.1,0.01]" in note
    assert params_in(["name=a,b"]).notes == ()


@pytest.mark.parametrize(
    ("word", "several"),
    [
        ("seed=1..5", "seed=range(1, 6)"),
        ("seed=1-5", "seed=range(1, 6)"),
        ("lr=0.1,0.01", "lr=[0.1,0.01]"),
        ("s=Range(1, 5)", "s=range(1, 5)"),
        ("at=1:30", ""),
        ("day=2026-11-22", ""),
        ("opts=a,b", ""),
        ("name=adam", ""),
    ],
)
def test_one_value_that_looks_like_several_is_taken_with_a_word_on_how_they_are_written(
    word: str, several: str
) -> None:
    expected = [f"{word}: one value, a text; several are written '{several}'"] if several else []
    assert [*params_in([word]).notes] == expected
