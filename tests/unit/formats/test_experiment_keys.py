"""Sweeps, isolation and what comes after what, in a task file: what they mean, and where they can be wrong."""

import time

import pytest

from aqueue.errors import FileError
from aqueue.formats.task_file import Content, parse
from aqueue.model.config import Defaults
from aqueue.model.submission import Submission
from aqueue.model.task import Isolation, Keep
from aqueue.model.values import Spelled

DEFAULTS = Defaults(name="train", working_dir="/home/me", base="/srv/base")

NAME = "expected 1 to 64 letters, digits, '_', '.' or '-', got"
MATRIX = "expected params with all of their values, such as {lr: [0.1, 0.01], seed: range(1, 5)}, got"
MAPPINGS = "expected a list of params, such as [{lr: 0.1, seed: 1}], got"
SEED = "expected a whole number from 0 upwards, got"
SAMPLES = "expected how many combinations to pick, 1 to 10000, got"
AFTER = "expected a list of runs or groups, such as [train-1, 42, group:train], got"
NEEDS = "expected a list of names of tasks in the same file, got"
ISOLATE = "expected git, or {git: true, copy: [.env], link: [data], keep: failed}, got"
PATHS = "expected a list of paths within the working directory, got"
PATH = "expected a path within the working directory, got"
NO_PARAM = "use letters, digits and '_', and not AQUEUE_…"
WRONG_NAME = "this cannot be the name of a param"
PLAIN = "expected a plain value, got"
AXIS = "expected a list, or a call such as range(1, 5), got"
LR = "lr: [0.1, 0.01]"
NUL = "a value cannot have a NUL character in it"
AFTER_ANY = "add 'after' or 'needs', or leave it out"
OWN_GIT = "each checkout has its own .git"

# Each is the second line of a task whose first is its command.
LINES = [
    ("group: a b", f"8: group: {NAME} 'a b'", ""),
    ("group: ''", f"8: group: {NAME} ''", ""),
    ("group: [a]", f"8: group: {NAME} a list", ""),
    (f"group: {'x' * 65}", f"8: group: {NAME} {'x' * 65!r}", ""),
    ("matrix: 5", f"9: matrix: {MATRIX} 5", ""),
    ("matrix: [lr]", f"9: matrix: {MATRIX} a list", ""),
    ("matrix: {}", "9: matrix: there is nothing to combine", f"write params with their values, such as {LR}"),
    ("matrix: {lr: []}", "14: matrix.lr: it has no values", "write at least one"),
    ("matrix: {lr: [1, 2, 1]}", "14: matrix.lr: 1 is given twice", "keep one of them"),
    ("matrix: {lr: {a: 1}}", f"14: matrix.lr: {AXIS} keys and values", ""),
    ("matrix: {l-r: [1]}", f"10: matrix.l-r: {WRONG_NAME}", NO_PARAM),
    ("matrix: {lr: [1], AQUEUE_ID: [1]}", f"19: matrix.AQUEUE_ID: {WRONG_NAME}", NO_PARAM),
    ('matrix: {lr: [1, "x\\0"]}', f"18: matrix: {NUL}", "leave it out"),
    ('matrix: {lr: "x\\0"}', f"14: matrix: {NUL}", "leave it out"),
    ("matrix: {lr: range(10001)}", "14: matrix.lr: 'range(10001)': it has 10,001 values", "the maximum is 10,000"),
    (
        "matrix: {lr: range(100), seed: range(101)}",
        "9: matrix: there are 10,100 combinations, and the maximum is 10,000",
        "take fewer values, or pick some combinations with samples: 20",
    ),
    (
        "matrix: {lr: uniform(0, 1)}",
        "9: matrix: lr: it is a continuous range",
        "say how many samples to take, with samples: 20",
    ),
    (
        "matrix: {lr: [1], samples: 3}",
        "19: matrix: 'samples' is not a param",
        "put it one level up, beside 'matrix'",
    ),
    ("matrix: {lr: [1], include: 5}", f"28: matrix.include: {MAPPINGS} 5", ""),
    ("matrix: {lr: [1], include: {lr: 2}}", f"28: matrix.include: {MAPPINGS} keys and values", ""),
    ("matrix: {lr: [1], include: [{lr: 2}, 5]}", f"38: matrix.include: {MAPPINGS} 5", ""),
    ("matrix: {lr: [1], include: [{lr: [2]}]}", f"34: matrix.include.lr: {PLAIN} a list", ""),
    ("matrix: {lr: [1], include: [{l-r: 2}]}", f"30: matrix.include: {WRONG_NAME}", NO_PARAM),
    ("matrix: {lr: [1], include: [{AQUEUE_: 2}]}", f"30: matrix.include: {WRONG_NAME}", NO_PARAM),
    ('matrix: {lr: [1], include: [{b: "\\0"}]}', f"33: matrix: {NUL}", "leave it out"),
    ("matrix: {lr: [1], exclude: [5]}", f"29: matrix.exclude: {MAPPINGS} 5", ""),
    ("matrix: {lr: [1], exclude: [{lr: {a: 1}}]}", f"34: matrix.exclude.lr: {PLAIN} keys and values", ""),
    (
        "matrix: {lr: [1], exclude: [{rl: 1}]}",
        "9: matrix: exclude: no param of the matrix is called 'rl'",
        "there are: lr",
    ),
    (
        "matrix: {lr: [1], exclude: [{lr: 1}]}",
        "9: matrix: exclude: no combination is left",
        "exclude fewer",
    ),
    ("samples: 5", "1: 'samples' is for a task with a matrix", "add the params and their values: matrix: …"),
    ("seed: 0", "1: 'seed' is for a task with a matrix", "add the params and their values: matrix: …"),
    ("after: ''", f"8: after: {AFTER} ''", ""),
    ("after: {a: 1}", f"8: after: {AFTER} keys and values", ""),
    ("after: [a, ~]", f"12: after: {AFTER} nothing", ""),
    ("after: [a, '']", f"12: after: {AFTER} ''", ""),
    ("needs: ''", f"8: needs: {NEEDS} ''", ""),
    ("needs: {a: 1}", f"8: needs: {NEEDS} keys and values", ""),
    ("needs: [~]", f"9: needs: {NEEDS} nothing", ""),
    ("after_any: true", "1: after_any: there is no 'after' or 'needs'", AFTER_ANY),
    ("after_any: 1", "12: after_any: expected true or false, got 1", ""),
    ("isolate: svn", f"10: isolate: {ISOLATE} 'svn'", ""),
    ("isolate: true", f"10: isolate: {ISOLATE} true", ""),
    ("isolate: 5", f"10: isolate: {ISOLATE} 5", ""),
    ("isolate: [git]", f"10: isolate: {ISOLATE} a list", ""),
    ("isolate: {copy: [a]}", "10: 'git' is missing", "add: git: …"),
    ("isolate: {git: true, lnk: [a]}", "22: unknown key 'lnk'", "did you mean 'link'?"),
    ("isolate: {git: 1}", "16: isolate.git: expected true or false, got 1", ""),
    ("isolate: {git: true, keep: ever}", "28: isolate.keep: expected always, failed or never, got 'ever'", ""),
    ("isolate: {git: true, copy: [a, /etc]}", f"32: isolate.copy: {PATH} '/etc'", ""),
    ("isolate: {git: true, copy: ../a}", f"28: isolate.copy: {PATH} '../a'", ""),
    ("isolate: {git: true, link: [a/../../b]}", f"29: isolate.link: {PATH} 'a/../../b'", ""),
    ("isolate: {git: true, link: .git/x}", f"28: isolate.link: {OWN_GIT}", "leave it out"),
    ("outputs:", f"9: outputs: {PATHS} nothing", ""),
    ("outputs: {a: b}", f"10: outputs: {PATHS} keys and values", ""),
    ("outputs: ~/x", f"10: outputs: {PATH} '~/x'", ""),
    ("outputs: [~]", f"11: outputs: {PATH} '~'", ""),
    ("isolate: {git: true, copy: [~/x]}", f"29: isolate.copy: {PATH} '~/x'", ""),
    ("isolate: {git: true, link: }", f"28: isolate.link: {PATHS} nothing", ""),
    ("isolate:", f"9: isolate: {ISOLATE} nothing", ""),
    ("needs:", f"7: needs: {NEEDS} nothing", ""),
    ("after: ~", f"8: after: {AFTER} nothing", ""),
    ("matrix:", f"8: matrix: {MATRIX} nothing", ""),
    ("matrix: {lr: [1, 2], exclude: }", f"31: matrix.exclude: {MAPPINGS} nothing", ""),
    ("outputs: [a, /b]", f"14: outputs: {PATH} '/b'", ""),
    ("outputs: ['.']", f"11: outputs: {PATH} '.'", ""),
    ("outputs: ''", f"10: outputs: {PATH} ''", ""),
    ("outputs: [a, task.yaml]", "14: outputs: task.yaml is a name for aqueue's own files", "choose another name"),
    (
        "outputs: attempt-1.log",
        "10: outputs: attempt-1.log is a name for aqueue's own files",
        "choose another name",
    ),
    (
        "outputs: [checkout-1/x]",
        "11: outputs: checkout-1/x is a name for aqueue's own files",
        "choose another name",
    ),
]  # fmt: skip

# Each follows a matrix in the second line.
SAMPLED = [
    ("samples: 0", f"10: samples: {SAMPLES} 0", ""),
    ("samples: 10001", f"10: samples: {SAMPLES} 10001", ""),
    ("samples: all", f"10: samples: {SAMPLES} 'all'", ""),
    ("seed: 1.5", f"7: seed: {SEED} 1.5", ""),
    ("seed: x", f"7: seed: {SEED} 'x'", ""),
    ("seed: -1", f"7: seed: {SEED} -1", ""),
    (
        "include: [{lr: 3}]",
        "1: unknown key 'include'",
        "it goes into the matrix: {lr: [0.1, 0.01], include: [{lr: 0.1}]}",
    ),
    (
        "exclude: [{lr: 1}]",
        "1: unknown key 'exclude'",
        "it goes into the matrix: {lr: [0.1, 0.01], exclude: [{lr: 0.1}]}",
    ),
]


def content_of(text: str) -> Content:
    return parse(text, "train.yaml", DEFAULTS)


def request_in(*lines: str) -> Submission:
    (request,) = content_of("\n".join(["command: x", *lines])).requests
    return request


def error_in(text: str) -> tuple[str, str]:
    with pytest.raises(FileError) as caught:
        content_of(text)
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize(("line", "message", "hint"), LINES)
def test_a_wrong_line_is_refused(line: str, message: str, hint: str) -> None:
    assert error_in(f"command: x\n{line}\n") == (f"train.yaml:2:{message}", hint)


@pytest.mark.parametrize(("line", "message", "hint"), SAMPLED)
def test_a_wrong_pick_is_refused(line: str, message: str, hint: str) -> None:
    text = f"command: x\nmatrix: {{lr: [1, 2]}}\n{line}\n"
    assert error_in(text) == (f"train.yaml:3:{message}", hint)


def test_more_samples_than_there_are_are_refused_at_the_matrix() -> None:
    message, hint = error_in("command: x\nmatrix: {lr: [1, 2]}\nsamples: 3\n")
    assert message.startswith("train.yaml:2:9: matrix: samples: there are only 2 combinations")
    assert hint == "pick fewer"


# What they mean


@pytest.mark.parametrize(
    ("lines", "params"),
    [
        (["matrix: {lr: [0.1, 0.01], seed: range(1, 3)}"], [(0.1, 1), (0.1, 2), (0.01, 1), (0.01, 2)]),
        (["matrix:", "  seed: range(1, 3)", "  lr: [0.5]"], [(0.5, 1), (0.5, 2)]),
        (["matrix: {lr: [x, ~, true, ''], seed: 3}"], [("x", 3), (Spelled("~", None), 3), (True, 3), ("", 3)]),
        (["matrix: {lr: [1, 2], seed: [1, 2], exclude: [{lr: 1}]}"], [(2, 1), (2, 2)]),
        (["matrix: {lr: [1], seed: [1], include: [{lr: 7, seed: 8}]}"], [(1, 1), (7, 8)]),
        (["matrix: {include: [{lr: 7, seed: 8}]}"], [(7, 8)]),
    ],
)
def test_a_matrix_is_its_combinations_in_order(lines: list[str], params: list[tuple[object, object]]) -> None:
    tasks = request_in(*lines).tasks()
    assert [(task.params["lr"], task.params["seed"]) for task in tasks] == params
    assert [task.name for task in tasks] == [f"train-{number}" for number in range(1, len(params) + 1)]


def test_samples_are_picked_by_the_seed_and_no_seed_is_0() -> None:
    def picked(*lines: str) -> list[object]:
        tasks = request_in("matrix: {lr: range(1000)}", "samples: 5", *lines).tasks()
        return [task.params["lr"] for task in tasks]

    assert len(set(picked())) == 5
    assert picked() == picked("seed: 0") != picked("seed: 1")


def test_as_many_values_as_a_sweep_may_have_can_be_written_out() -> None:
    values = ", ".join(map(str, range(10_000)))
    assert len(request_in(f"matrix: {{lr: [{values}]}}").tasks()) == 10_000
    message, hint = error_in(f"command: x\nmatrix: {{lr: [{values}, 10000]}}")
    assert (message, hint) == ("train.yaml:2:14: matrix.lr: it has 10,001 values", "the maximum is 10,000")


def test_a_whole_mebibyte_of_values_is_read_at_once() -> None:
    values = ", ".join(f"'{number:098}'" for number in range(10_000))
    text = f"command: x\nmatrix: {{lr: [{values}]}}\n"
    began = time.monotonic()
    (request,) = content_of(text).requests
    assert len(request.tasks()) == 10_000
    assert time.monotonic() - began < 5
    assert len(text) > 1_000_000


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("after: [train-1, 42, group:train]", ("train-1", "42", "group:train")),
        ("after: train-1", ("train-1",)),
        ("after: 42", ("42",)),
        ("after: [a, b, a, 42, '42']", ("a", "b", "42")),
        ("after: []", ()),
        ("after: [5319e70, 3.10, '3.1', 007]", ("5319e70", "3.10", "3.1", "007")),
        ("after: 1e3", ("1e3",)),
        ("after:\n- a\n- group:b", ("a", "group:b")),
    ],
)
def test_what_a_task_comes_after_is_read_as_it_is_written_each_once(line: str, names: tuple[str, ...]) -> None:
    request = request_in(line)
    assert (request.after, request.needs, request.after_any) == (names, (), False)


def test_any_end_will_do_if_it_is_said() -> None:
    assert request_in("after: a", "after_any: true").after_any


@pytest.mark.parametrize(
    ("line", "isolation"),
    [
        ("isolate: git", Isolation()),
        ("isolate: {git: true}", Isolation()),
        ("isolate: {git: false, copy: [a]}", None),
        ("isolate: false", None),
        (
            "isolate: {git: true, copy: [.env, .env], link: data/big, keep: always}",
            Isolation(copy=(".env",), link=("data/big",), keep=Keep.ALWAYS),
        ),
    ],
)
def test_isolation_is_read(line: str, isolation: Isolation | None) -> None:
    assert request_in(line).task.isolate == isolation


def test_outputs_and_a_group_are_of_the_task() -> None:
    task = request_in("outputs: [model.pt, 'plots/*.png', model.pt]", "group: 5").task
    assert (task.outputs, task.group) == (("model.pt", "plots/*.png"), "5")
    assert request_in("outputs: model.pt").task.outputs == ("model.pt",)


# Names that are too long


def test_the_name_of_the_last_run_of_a_sweep_must_fit() -> None:
    name = "x" * 62
    assert request_in(f"name: {name}", "matrix: {a: range(9)}").tasks()[-1].name == f"{name}-9"
    message, hint = error_in(f"command: x\nname: {name}\nmatrix: {{a: range(10)}}")
    assert message == "train.yaml:2:7: the name is too long for a sweep"
    assert f"{name}-1" in hint


def test_a_name_that_is_too_long_may_be_that_of_the_file() -> None:
    defaults = Defaults(name="x" * 64, working_dir="/", base="/")
    with pytest.raises(FileError, match=r"^long\.yaml:1:1: the name is too long for a sweep$"):
        parse("command: x\nmatrix: {a: [1]}", "long.yaml", defaults)


# Schedules


def test_a_schedule_submits_what_a_file_without_it_asks_for() -> None:
    keys = "command: x\nmatrix: {lr: [1, 2]}\nsamples: 1\nafter: [a, group:b]\nafter_any: true\nisolate: git\n"
    (schedule,) = content_of(keys + "schedule: '@daily'\n").schedules
    assert [schedule.submission] == content_of(keys).requests


def test_a_sweep_with_a_schedule_has_a_name_that_leaves_room_for_a_time_unless_it_has_a_group() -> None:
    lines = "matrix: {lr: [1]}\nschedule: '@daily'\ncommand: x\n"
    assert len(content_of(f"name: {'n' * 40}\n{lines}").schedules) == 1
    assert len(content_of(f"name: {'n' * 41}\ngroup: g\n{lines}").schedules) == 1
    message, hint = error_in(f"name: {'n' * 41}\n{lines}")
    assert (message, hint.split(",")[0]) == (
        "train.yaml:1:7: the name is too long for a sweep with a schedule",
        "use 40 characters at most",
    )


def test_a_schedule_may_have_what_is_empty_and_a_group_and_outputs() -> None:
    (schedule,) = content_of(
        "command: x\nschedule: '@daily'\nafter: []\nneeds: []\nisolate: false\ngroup: night\noutputs: [a]\n"
    ).schedules
    assert (schedule.task.group, schedule.task.outputs) == ("night", ("a",))
