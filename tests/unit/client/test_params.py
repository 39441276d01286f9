"""Params of a command line: which tasks of a file they go to, and which of them make sweeps."""

import shlex

import pytest

from aqueue.client.params import params_in
from aqueue.errors import UsageError
from aqueue.formats.lookalikes import kind_of
from aqueue.model.submission import Submission
from aqueue.model.sweep import Sweep
from aqueue.model.values import Value, plain_text
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
    with pytest.raises(UsageError, match=r"^--samples needs a param with several values"):
        applied("lr=1", requests=[TRAIN], samples=7)


@pytest.mark.parametrize("word", ["lr=[0.1,", "lr=[1, 2", "lr=range(1,5"])
def test_brackets_that_are_not_closed_are_refused(word: str) -> None:
    with pytest.raises(UsageError, match=r"(is|are) not closed"):
        params_in([word], None, None)


@pytest.mark.parametrize(
    ("word", "several", "text"),
    [
        ("seed=1..5", "seed=range(1, 6)", "'seed=\"1..5\"'"),
        ("lr=0.1,0.01", "lr=[0.1, 0.01]", "'lr=\"0.1,0.01\"'"),
        ("opt=adam,sgd", "opt=[adam, sgd]", "'opt=\"adam,sgd\"'"),
        ("s=Range(1, 5)", "s=range(1, 5)", "'s=\"Range(1, 5)\"'"),
        ("s=linspace(0,1,3)", "s=[0, 0.5, 1]", "'s=\"linspace(0,1,3)\"'"),
    ],
)
def test_one_value_that_looks_like_several_is_refused_with_how_both_are_written(
    word: str, several: str, text: str
) -> None:
    with pytest.raises(UsageError) as caught:
        params_in([word])
    assert caught.value.message == f"{word} is read as one text value, not {kind_of(several.partition('=')[2])}"
    assert caught.value.hint == f"for several, write '{several}'; for one text, write {text}"
    given = params_in([several])
    assert list(given.axes) == [word.partition("=")[0]]
    (written,) = shlex.split(text)
    assert params_in([written]).named == dict([word.split("=")])


@pytest.mark.parametrize(
    "word", ["day=2026-11-22", "at=12:05", "name=adam", "v=1.20", "x=-e 1 b", "url=http://a?b=c"]
)
def test_one_value_that_looks_like_one_is_taken(word: str) -> None:
    (value,) = params_in([word]).named.values()
    assert plain_text(value) == word.partition("=")[2]


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ('x="[1, 2]"', "[1, 2]"), ("x='a'", "a"), ('x="1.20"', "1.20"), ('x="a" and "b"', '"a" and "b"'),
        ('x="', '"'), ('x=""', ""), ('x="a', '"a'), ("x='it''s'", "it's"), ('x="a\\x"', '"a\\x"'),
    ],
)  # fmt: skip
def test_quotes_around_the_whole_of_a_value_make_it_text(word: str, text: str) -> None:
    assert params_in([word]).named == {"x": text}


def test_two_params_in_one_word_are_refused() -> None:
    with pytest.raises(UsageError, match="is read as one param, not several") as caught:
        params_in(["lr=0.1 seed=2"])
    assert caught.value.hint == (
        "for several params, write lr=0.1 seed=2; for one text, write 'lr=\"0.1 seed=2\"'"
    )
    assert params_in(['lr="0.1 seed=2"']).named == {"lr": "0.1 seed=2"}


@pytest.mark.parametrize("word", ["lr=[0.1 0.2]", "lr=[1, 2 3]", "lr=choice(1 2)"])
def test_a_comma_that_is_missing_is_told(word: str) -> None:
    with pytest.raises(UsageError, match="is text, not") as caught:
        params_in([word])
    assert caught.value.hint.startswith("write commas: [")
    assert params_in(["lr=['0.1 0.2', '3 4']"]).axes == {"lr": ("0.1 0.2", "3 4")}


def test_hints_are_those_of_a_command_line() -> None:
    with pytest.raises(UsageError) as caught:
        applied("lr=uniform(0, 1)", requests=[TRAIN])
    assert caught.value.hint == "say how many samples to take, with --samples 20"
    with pytest.raises(UsageError) as caught:
        params_in(["lr=[1..5]"])
    assert caught.value.hint.endswith("for one text, write 'lr=\"[1..5]\"'")


def test_what_is_given_goes_before_what_the_file_adds_to_combinations() -> None:
    include: tuple[dict[str, Value], ...] = ({"lr": 0.1, "extra": "yes"},)
    sweep = Submission(task=a_task(name="sweep"), sweep=Sweep(axes={"lr": (0.1, 0.2)}, include=include))

    def of(*words: str) -> list[dict[str, object]]:
        return applied(*words, requests=[sweep])["sweep"]

    assert of() == [{"lr": 0.1, "extra": "yes"}, {"lr": 0.2}]
    assert of("extra=5") == [{"lr": 0.1, "extra": 5}, {"lr": 0.2, "extra": 5}]
    assert [run["extra"] for run in of("extra=[1,2]")] == [1, 2, 1, 2]
    assert of("lr=0.5") == [{"lr": 0.5}]
    assert of("lr=[0.1,0.5]") == [{"lr": 0.1, "extra": "yes"}, {"lr": 0.5}]


@pytest.mark.parametrize("word", ["lr:=0.5", "lr = 0.5", "--lr=0.5"])
def test_a_hint_has_the_value_alone(word: str) -> None:
    from aqueue.client.known_params import check

    with pytest.raises(UsageError) as caught:
        check(params_in([word]), [TRAIN])
    assert "did you mean lr=0.5?" in caught.value.hint
