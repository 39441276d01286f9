"""`${NAME}`: what is filled in, what is left alone, and which names cannot be meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.errors import FileError
from aqueue.formats.names import check
from aqueue.formats.placeholders import fill_in, names_in
from aqueue.formats.task_file import Content, parse
from aqueue.model.config import Defaults
from aqueue.near_names import nearest

DEFAULTS = Defaults(name="train", working_dir="/home/me", base="/srv/base", env={"EVERYWHERE": "1"})


@pytest.mark.parametrize(
    ("text", "filled_in"),
    [
        ("${lr}", "0.1"),
        ("--lr=${lr}:${lr}", "--lr=0.1:0.1"),
        ("${train.lr}", "0.2"),
        ("${nested}", "${lr}"),
        ("$lr", "$lr"),
        ("$${lr}", "${lr}"),
        ("$$${lr}", "$${lr}"),
        ("$${lr}${lr}", "${lr}0.1"),
        ("${lr", "${lr"),
        ("${ lr }", "${ lr }"),
        ("${}", "${}"),
        ("${lr:-1} ${#lr} ${lr%x} ${1}", "${lr:-1} ${#lr} ${lr%x} ${1}"),
        ("no param", "no param"),
        ("", ""),
    ],
)
def test_a_name_in_braces_is_filled_in_once_and_all_else_is_left_alone(text: str, filled_in: str) -> None:
    assert fill_in(text, {"lr": "0.1", "nested": "${lr}", "train.lr": "0.2"}.__getitem__) == filled_in


@given(st.text())
def test_a_text_without_braces_behind_a_dollar_stays_as_it_is(text: str) -> None:
    text = text.replace("${", "")
    assert fill_in(text, nothing) == text
    assert fill_in(text.replace("{", "") + "$${lr}", nothing) == text.replace("{", "") + "${lr}"


@given(before=st.text(st.characters(exclude_characters="${}")), value=st.text())
def test_what_a_param_holds_is_not_looked_at(before: str, value: str) -> None:
    assert fill_in(f"{before}${{p}}", {"p": value}.__getitem__) == before + value


@given(st.text("${}ab."))
def test_the_names_are_those_that_are_asked_for(text: str) -> None:
    asked: dict[str, int] = {}
    fill_in(text, lambda name: str(asked.setdefault(name, len(asked))))
    assert [*asked] == [*dict.fromkeys(names_in(text))]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("lrr", "lr"),
        ("LR", "lr"),
        ("train.lr", "lr"),
        ("sed", "seed"),
        ("depth", "net.depth"),
        ("x", ""),
        ("", ""),
    ],
)
def test_a_name_that_was_probably_meant_is_found(name: str, near: str) -> None:
    assert nearest(name, ["lr", "seed", "net.depth"]) == near


def nothing(name: str) -> str:
    raise KeyError(name)


def content_of(*lines: str) -> Content:
    return parse("\n".join(lines), "train.yaml", DEFAULTS)


def problem(*lines: str, variables: tuple[str, ...] | None = None) -> tuple[str, str]:
    with pytest.raises(FileError) as caught:
        content = content_of(*lines)
        check(content.documents[0], content.requests[0], variables)
    return caught.value.message.removeprefix("train.yaml:"), caught.value.hint


NEITHER = "is neither a param nor a variable of its environment"


@pytest.mark.parametrize(
    ("lines", "place", "name", "near"),
    [
        (["command: [echo, '${lrr}']", "params: {lr: 1}"], "1:17: command", "lrr", "lr"),
        (["command: [echo, '${LRr}']", "params: {lr: 1}"], "1:17: command", "LRr", "lr"),
        (["command: [echo, '${lrr}']", "matrix: {lr: [1]}"], "1:17: command", "lrr", "lr"),
        (["command: x", "params: {lr: 1}", "env: {A: '${lrr}'}"], "3:10: env.A", "lrr", "lr"),
        (["command: x", "env: {A: '${AQUEUE_IDD}'}"], "2:10: env.A", "AQUEUE_IDD", "AQUEUE_ID"),
        (["command: [x, '${train.lr}']", "params: {lr: 1}"], "1:14: command", "train.lr", "lr"),
    ],
)
def test_a_name_that_is_misspelt_is_refused_where_it_is(
    lines: list[str], place: str, name: str, near: str
) -> None:
    assert problem(*lines) == (f"{place}: ${{{name}}} {NEITHER}", f"did you mean ${{{near}}}?")


@pytest.mark.parametrize(
    ("lines", "message", "hint"),
    [
        (
            ["command: x ${train.lr}", "params: {train.lr: 1}"],
            "1:10: command: no shell can read ${train.lr}",
            "a shell runs the command: write $train_lr",
        ),
        (
            ["command: x", "params: {train.lr: 1, train_lr: 2}"],
            "2:23: params: train.lr and train_lr would both be the variable train_lr",
            "rename one of them",
        ),
        (
            ["command: x", "params: {a.b: 1}", "matrix: {a_b: [2]}"],
            "3:10: params: a.b and a_b would both be the variable a_b",
            "rename one of them",
        ),
    ],
)
def test_params_that_no_command_could_tell_apart_or_read_are_refused_is_refused(
    lines: list[str], message: str, hint: str
) -> None:
    assert problem(*lines) == (message, hint)


@pytest.mark.parametrize(
    "lines",
    [
        ["command: [echo, '${PATH} ${LRR} ${AQUEUE_ID} ${AQUEUE_DIR} ${EVERYWHERE}']", "params: {lr: 1}"],
        ["command: [echo, '${http_proxy}']", "params: {lr: 1}"],
        ["command: [echo, '$${lrr} ${lrr:-1}']", "params: {lr: 1}"],
        ["command: echo ${lrr}", "params: {lr: 1}"],
        ["command: [echo, '${more}']", "matrix: {lr: [1], include: [{more: 2}]}"],
        ["command: [echo, '${a} ${train.lr} ${train_lr}']", "env: {a: 1}", "params: {train.lr: 1}"],
    ],
)
def test_what_a_server_may_know_or_a_shell_is_to_fill_in_is_accepted(lines: list[str]) -> None:
    assert content_of(*lines).tasks


def test_a_check_knows_the_variables_that_there_are_here() -> None:
    command = "command: [echo, '${HERE}', '${THERE}']"
    literal = "to leave it as it is, write $${THERE}"
    assert problem(command, variables=("HERE",)) == (f"1:28: command: ${{THERE}} {NEITHER}", literal)
    content = content_of(command)
    check(content.documents[0], content.requests[0], ("HERE", "THERE"))


def test_a_check_finds_what_refers_to_an_entry_below_it() -> None:
    lines = ("command: x", "env: {A: '${B}', B: '${A} ${B}'}")
    hint = "A and B refer to each other: write one of them out"
    assert problem(*lines, variables=()) == (f"2:10: env.A: ${{B}} {NEITHER}", hint)
    content = content_of(*lines)
    check(content.documents[0], content.requests[0], ("B",))
    lines = ("command: x", "env: {A: '${B}', B: '${C}', C: 1}")
    assert problem(*lines, variables=())[1] == "write the entry for B above this one"
    lines = ("command: x", "env: {A: '${B}', B: '${C}', C: '${A}'}")
    assert problem(*lines, variables=())[1] == hint


def test_an_entry_that_is_made_of_itself_is_told_so() -> None:
    hint = "an entry cannot refer to itself, and no other S exists"
    assert problem("command: x", "env: {S: '${S}'}", variables=()) == (f"2:10: env.S: ${{S}} {NEITHER}", hint)


@pytest.mark.parametrize(
    "lines",
    [
        ["command: [echo, '${zz}']", "matrix: {lr: [a, b], include: [{lr: a, zz: 3}]}"],
        ["command: [echo, '${zz}']", "matrix: {lr: [a, b], include: [{lr: a, zz: 3}]}", "env: {zz: '${zz}'}"],
        ["command: [echo, '${lr}']", "matrix: {seed: [1], include: [{lr: a, seed: 2}]}"],
        ["env: {A: '${z_z}'}", "command: x", "matrix: {lr: [a, b], include: [{lr: a, z.z: 3}]}"],
    ],
)
def test_a_param_that_only_some_combinations_have_is_refused_where_all_use_it(lines: list[str]) -> None:
    message, hint = problem(*lines)
    assert "the run train-2 has no param " in message or "the run train-1 has no param lr" in message
    assert hint.startswith("give all runs one, as in params: {")


@pytest.mark.parametrize(
    "lines",
    [
        ["command: [echo, '${zz}']", "matrix: {lr: [a, b], include: [{lr: a, zz: 3}]}", "params: {zz: 1}"],
        ["command: [echo, '${zz}']", "matrix: {lr: [a, b], include: [{lr: a, zz: 3}]}", "env: {zz: 1}"],
        ["command: [echo, '${zz}']", "matrix: {lr: [a, b], include: [{lr: a, zz: 3}, {lr: b, zz: 4}]}"],
        ["command: [echo, '${lr}']", "matrix: {lr: [a, b], include: [{lr: a, zz: 3}]}"],
    ],
)
def test_a_param_that_all_combinations_have_is_accepted(lines: list[str]) -> None:
    assert content_of(*lines).tasks


@pytest.mark.parametrize("name", ["AQUEUE.ID", "a..b", ".a", "a.", "a.b-c"])
def test_what_cannot_be_a_param_with_dots_is_refused(name: str) -> None:
    assert ": params: " in problem("command: x", f"params: {{{name}: 1}}")[0]
    assert "cannot be the name of a param" in problem("command: x", f"matrix: {{{name}: [1]}}")[0]


def test_a_variable_of_env_has_no_dots() -> None:
    assert "env: this cannot be the name of a variable" in problem("command: x", "env: {a.b: 1}")[0]
