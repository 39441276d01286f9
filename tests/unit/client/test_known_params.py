"""Params behind `--` reach a task, or are refused with the nearest name."""

import pytest

from aqueue.client.known_params import check
from aqueue.client.params import params_in
from aqueue.errors import UsageError
from aqueue.model.submission import Submission
from aqueue.model.sweep import Sweep
from tests.unit.records import a_task

TRAIN = Submission(task=a_task(name="train", params={"lr": 0.1, "net.depth": 3}))
SWEEP = Submission(task=a_task(name="sweep"), sweep=Sweep(axes={"seed": (1, 2)}, include=({"note": "x"},)))
REPORT = Submission(task=a_task(name="report"))


def refused(
    *words: str, requests: tuple[Submission, ...] = (TRAIN,), new: tuple[str, ...] = ()
) -> tuple[str, str]:
    with pytest.raises(UsageError) as caught:
        check(params_in(words, new=new), requests)
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize(
    ("word", "name", "meant"),
    [
        ("lrr=0.50", "lrr", "lr=0.50"),
        ("train.lr=0.5", "train.lr", "lr=0.5"),
        ("LR=5e-1", "LR", "lr=5e-1"),
        ("depth=4", "depth", "net.depth=4"),
        ("net.lrr=4", "net.lrr", "lr=4"),
        ("Net.depht=", "Net.depht", "net.depth="),
        ("lrr=[0.1,0.2]", "lrr", "lr=…"),
    ],
)
def test_a_misspelt_param_is_refused_with_the_one_that_was_meant(word: str, name: str, meant: str) -> None:
    value = meant.partition("=")[2]
    for requests in ((TRAIN,), (TRAIN, REPORT), (REPORT, SWEEP, TRAIN)):
        assert refused(word, requests=requests) == (
            f"there is no param {name}",
            f"did you mean {meant}? To add it anyway, write before --: --new {name}={value}",
        )


def test_a_param_that_is_like_no_other_is_refused_with_those_that_there_are() -> None:
    assert refused("x=1")[1].startswith("the params are lr, net.depth. To add it")
    assert refused("x=1", requests=(SWEEP,))[1].startswith("the params are seed, note. To add it")


@pytest.mark.parametrize("word", ["--lr=0.5", "lr:0.5", "-lr=0.5", "--LR=0.5", "+lr=0.5", "lr: 0.5"])
def test_a_param_that_is_written_in_another_way_is_refused_with_ours(word: str) -> None:
    message, hint = refused(word)
    assert "would be ignored: the command uses neither $1 nor $@" in message
    assert hint.replace(" ", "") == "didyoumeanlr=0.5?"


@pytest.mark.parametrize(
    ("word", "hint"),
    [("--lr", "did you mean lr=…?"), ("1", "a param is written K=V"), ("--new", "--new comes before --")],
)
def test_a_word_that_no_command_sees_is_refused(word: str, hint: str) -> None:
    assert refused(word, "0.5")[1] == hint


def test_a_word_that_no_command_sees_is_refused_where_there_are_no_params_too() -> None:
    assert refused("all", requests=(Submission(task=a_task(command="make")),)) == (
        "all would be ignored: the command uses neither $1 nor $@",
        "a param is written K=V",
    )


@pytest.mark.parametrize(
    "command",
    [
        'train "$@"', "train $1", "train ${1:-x}", "train $*", "test $# = 0", "echo ${#}", "shift; train",
        ". ./run.sh",
        "x; . run.sh", "for x do echo; done", "for x; do echo; done", "getopts ab x", "echo ${!1}",
        "eval x", "source run.sh",
    ],
)  # fmt: skip
def test_a_word_is_taken_where_a_command_may_look_at_it(command: str) -> None:
    check(params_in(["--epochs=5"]), [Submission(task=a_task(command=command, params={"lr": 1})), TRAIN])


LOOKS = Submission(task=a_task(command='train "$@"', params={"lr": 0.1, "learning_rate": 1}))


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("--lr=0.5",), "lr=0.5"), (("-lr=3",), "lr=3"), (("+lr=3",), "lr=3"), (("lr:0.5",), "lr=0.5"),
        (("lr: 0.5",), "lr=0.5"), (("lr =0.5",), "lr=0.5"), (("lr = 0.5",), "lr=0.5"), (("--LR=5",), "lr=5"),
        (("--lrr=5",), "lr=5"), (("in", "--lr", "0.5"), "lr=0.5"), (("--lr",), "lr=…"),
        (("lr=1", "--lr=2"), "lr=2"),
        (("--learning-rate", "a b"), "learning_rate='a b'"), (("--learning-rate=2",), "learning_rate=2"),
    ],
)  # fmt: skip
def test_a_word_that_looks_like_a_value_of_a_param_is_refused_where_a_command_may_look_at_it_too(
    words: tuple[str, ...], meant: str
) -> None:
    for requests in (
        (LOOKS,),
        (REPORT, LOOKS),
        (Submission(task=a_task(command=("x",), params={"lr": 1, "learning_rate": 1})),),
    ):
        message, hint = refused(*words, requests=requests)
        assert message.endswith("is not a param: write it as K=V")
        assert hint == f"did you mean {meant}? To pass it to the command unchanged, put it after a second --"


def test_a_value_without_a_param_is_refused() -> None:
    assert refused("=0.5", requests=(LOOKS,))[1].startswith("name the param: K=V.")


@pytest.mark.parametrize(
    "word", ["--epochs=3", "model/lr=3", "lr", "lr.txt", "--", "lr://x/y", "L:\\data", "-", "--verbose"]
)
def test_other_words_are_positional(word: str) -> None:
    check(params_in([word]), [LOOKS])


def test_what_comes_after_a_second_dash_dash_is_positional_whatever_it_looks_like() -> None:
    given = params_in(["lr=2", "in", "--", "--lr=0.5", "lr=3", "--"])
    check(given, [LOOKS])
    assert given.named == {"lr": 2}
    assert given.positional == ("in", "--lr=0.5", "lr=3", "--")
    refused("--", "lr=3", requests=(TRAIN,))


@pytest.mark.parametrize(
    "command", ["train $lr", "echo $$ $? $!", "for x in a; do ./run.sh; done", "cd .. && ./x"]
)
def test_a_word_is_refused_where_no_command_looks_at_it(command: str) -> None:
    refused("word", requests=(Submission(task=a_task(command=command)),))


def test_what_other_shells_and_lists_make_of_words_is_up_to_them() -> None:
    check(params_in(["word"]), [Submission(task=a_task(command="echo $argv", shell="/usr/bin/fish"))])
    check(params_in(["word"]), [Submission(task=a_task(command=("echo",)))])
    refused("word", requests=(Submission(task=a_task(command="echo", shell="/bin/bash")),))


def test_a_task_without_params_takes_any() -> None:
    check(params_in(["whatever=1", "a.b=2", "x=[1,2]"]), [REPORT])


def test_a_known_param_is_taken_by_a_file_whatever_task_of_it_has_it() -> None:
    check(params_in(["lr=1", "seed=3", "note=y", "net.depth=[1,2]"]), [TRAIN, SWEEP, REPORT])


def test_a_new_param_is_added_on_purpose() -> None:
    given = params_in(["lr=2"], new=["wd=0.10", "net.width=[1,2]"])
    check(given, [TRAIN])
    tasks = given.applied_to(TRAIN, [TRAIN]).tasks()
    assert [task.params["net.width"] for task in tasks] == [1, 2]
    assert refused(new=("lr=1",)) == ("--new lr: the param lr already exists", "give it after --: -- lr=…")
    with pytest.raises(UsageError, match="expected a param and its value"):
        params_in([], new=["lr"])


@pytest.mark.parametrize("words", [("lr=1", "lr=2"), ("lr=1", "lr=[2,3]"), ("lr=[2,3]", "lr=1")])
def test_a_param_is_given_once(words: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="lr is given twice"):
        params_in(words)


def test_two_params_are_not_one_variable() -> None:
    assert refused(new=("net_depth=1",))[0] == "net.depth and net_depth would both be the variable net_depth"
    assert "both be the variable a_b" in refused("a.b=1", "a_b=2", requests=(REPORT,))[0]
