"""All mistakes of a file are told at once: which there are, and that none is only a consequence of another."""

import time

import pytest

from aqueue.errors import MAX_REPORTED, FileError
from aqueue.formats import config_file
from aqueue.formats.task_file import parse
from aqueue.model.config import Defaults

DEFAULTS = Defaults(name="train", working_dir="/home/me", base="/srv/base")


def mistakes_in(text: str, defaults: Defaults = DEFAULTS) -> list[str]:
    with pytest.raises(FileError) as caught:
        parse(text, "t", defaults)
    return [message.removeprefix("t:") for message, _ in caught.value.problems()]


def begin(found: list[str], expected: list[str]) -> bool:
    return len(found) == len(expected) and all(map(str.startswith, found, expected))


def test_mistakes_of_every_kind_in_one_file_are_told_in_the_order_of_their_lines() -> None:
    text = """\
name: a b
command: [python, [a]]
timeout: soon
timout: never
retries: {limit: many, backof: 2, delay: x}
queue: gpu
queue: cpu
requeue: 1
tags: !mine [x]
matrix: {lr: [], l-r: [1], seed: range(1, x), samples: 3}
gpus: two
colour: red
---
command: ''
schedule: ["61 * * * *", "0 25 * * *", "@daily"]
timezone: Mars
"""
    assert begin(
        mistakes_in(text),
        [
            "1:7: name: expected",
            "2:19: command.1: expected",
            "3:10: timeout: expected",
            "4:1: unknown key 'timout'",
            "5:18: retries.limit: expected",
            "5:24: unknown key 'backof'",
            "5:42: retries.delay: expected",
            "7:1: 'queue' is given twice",
            "8:10: requeue: expected",
            "9:7: a tag (!…) is not allowed",
            "and 10 more",
        ],
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("comand: x\ntimeout: soon", ["1:1: unknown key 'comand'", "2:10: timeout"]),
        ("command: x\ntimout: soon", ["2:1: unknown key 'timout'", "2:9: timeout"]),
        ("command:\ntimeout:", ["1:9: command: expected", "2:9: timeout: expected"]),
        ("xyzzy: 1", ["1:1: unknown key 'xyzzy'", "1:1: 'command' is missing"]),
        ("command: x\nmatrix: {lr: []}\nsamples: 3", ["2:14: matrix.lr: it has no values"]),
        ("command: x\nmatrix: 5\nsamples: 0", ["2:9: matrix: expected", "3:10: samples: expected"]),
        ("command: x\nmatrix: {lr: [1, 2]}\nsamples: 3\nseed: -1", ["2:9: matrix: samples", "4:7: seed"]),
        ("command: x\nmatrix: {lr: [], exclude: [{lr: 1}]}", ["2:14: matrix.lr: it has no values"]),
        ("command: x\nmatrix: {lr: [1], include: [5, {lr: [2]}]}", ["2:29: matrix", "2:37: matrix.include.lr"]),
        ("command: x\nmatrix: {lr: uniform(0, 1)}\nsamples: some", ["3:10: samples: expected"]),
        ("command: x\nschedule: [x]\ntimezone: Mars", ["2:12: schedule", "3:11: timezone"]),
        ("command: x\nschedule: 5\noverlap: all", ["2:11: schedule"]),
        ("command: x\nat: soon\noverlap: none", ["2:5: at: expected", "3:10: overlap"]),
        ("command: x\nafter: ''\nafter_any: true\nhold: 1", ["2:8: after", "4:7: hold"]),
        ("command: x\nretries: {limit: -1, backoff: 0}", ["2:18: retries.limit", "2:31: retries.backoff"]),
        ("command: x\nretries: {on: 2}\nhold: 1", ["2:11: unknown key 'on'", "3:7: hold"]),
        ("command: x\nretries: {delay: 1}\nhold: 1", ["2:10: 'limit' is missing", "3:7: hold"]),
        ("command: x\nparams: {a-b: 1, c: [1], d: {}}\nenv: 5", ["2:10: p", "2:21: p", "2:29: p", "3:6: e"]),
        ("command: [x, '${lrr}', '${rate}']\nparams: {lrrr: 1, rate: [1]}", ["1:14: comm", "2:25: params.rate"]),
        ("command: [x, '${lrr}', '${lrrr}']\nparams: {lr: 1}", ["1:14: command: ", "1:24: command: "]),
        ("command: x\ngpus: 0\ngpu_memory: 1\ntimeout: x", ["3:1: gpu_memory", "4:10: timeout"]),
        ("command: {a: range(1, 5, b: 2}\ntimeout: x", ["1:14: range(… has no", "2:10: timeout"]),
        ("a: &a {<<: b}\ncommand: x\ntimeout: x", ["1:1: unknown key 'a'", "1:12: '<<' takes", "3:10: timeout"]),
        ("command: x\nhold: 1\n---\n- x\n---\ncommand: y\nhold: 2", ["2:7: hold", "4:1: expected", "7:7: hold"]),
        ("command: x\nhold: 1\n---\ncommand: a: b", ["2:7: hold", "4:11: not valid YAML"]),
        ("command: x\nneeds: [a, b]\n---\ncommand: y\nname: c\nneeds: d\nhold: 1",
         ["2:9: needs: there is no task a", "2:12: needs: there is", "6:8: needs: there is", "7:7: hold"]),
        ("command: x\nneeds: a\n---\ncommand: y\nname: a b\n---\ncommand: x\nneeds: 5\n", ["5:7: name"]),
        ("command: x\nschedule: '@daily'\n---\ncommand: x\nschedule: '@daily'\n---\ncommand: y",
         ["4:1: there already is a schedule", "7:1: this task has no schedule"]),
    ],
)  # fmt: skip
def test_each_mistake_is_told_and_nothing_that_only_follows_from_one(text: str, expected: list[str]) -> None:
    found = mistakes_in(text)
    assert begin(found, expected), found


def test_a_name_that_a_file_cannot_give_is_one_mistake_of_several() -> None:
    assert mistakes_in("command: x\nhold: 1", Defaults(name=None, working_dir="/", base="/"))[0].startswith(
        "1:1: 'name'"
    )


def test_a_mistake_in_a_shared_block_is_told_once() -> None:
    text = "x-a: &a {timeout: soon, hold: 1}\n<<: *a\ncommand: x\nenv: {B: [1]}\n"
    assert begin(mistakes_in(text), ["1:19: timeout", "1:31: hold", "4:10: env.B"])
    assert mistakes_in("x-a: &a {b: [1]}\nparams: *a\nenv: *a\ncommand: x\n")[0].startswith("1:13: params.b")


def test_so_many_mistakes_are_told_and_how_many_more_there_are() -> None:
    lines = [f"key{number}x: 1" for number in range(24)]
    found = mistakes_in("\n".join(["command: x", *lines]))
    assert len(found) == MAX_REPORTED + 1 == 11
    assert found[-1] == "and 14 more"
    several = "\n---\n".join(["command: x\nhold: 1"] * 24)
    assert mistakes_in(several)[-1] == "and 14 more"


def test_what_to_do_is_beside_each_mistake_in_the_text_of_an_error_file() -> None:
    with pytest.raises(FileError) as caught:
        parse("comand: x\ntimeout: soon\nhodl: true\n", "t", DEFAULTS)
    assert caught.value.text().splitlines()[:2] == ["t:1:1: unknown key 'comand'", "did you mean 'command'?"]
    assert caught.value.text().splitlines()[-2:] == ["t:3:1: unknown key 'hodl'", "did you mean 'hold'?"]


def test_a_configuration_tells_all_of_its_mistakes() -> None:
    text = b"""\
jobs: 0
grace: soon
queues:
  config:
    - {name: a, max_concurrency: 0}
    - {name: a b, max_concurency: x}
    - {name: c}
    - {name: c, pausd: true}
    - {max_concurrency: 2}
heartbeat: {interval: 5s, stale_after: 1s}
"""
    with pytest.raises(FileError) as caught:
        config_file.parse(text, "c")
    expected = [
        "c:1:7: jobs: expected",
        "c:2:8: grace: expected",
        "c:5:34: queues.config.0.max_concurrency: expected",
        "c:6:14: queues.config.name: expected",
        "c:6:19: unknown key 'max_concurency'",
        "c:6:35: queues.config.1.max_concurrency: expected",
        "c:8:14: queue c is configured twice",
        "c:8:17: unknown key 'pausd'",
        "c:9:7: 'name' is missing",
        "c:10:12: heartbeat.stale_after",
    ]
    found = [message for message, _ in caught.value.problems()]
    assert begin(found, expected), found


def test_many_mistakes_in_a_large_file_take_no_long_time() -> None:
    began = time.process_time()
    values = ", ".join(map(str, range(9_000)))
    wrong = "\n".join(f"key{number}x: 1" for number in range(1_000))
    for text in (
        f"command: x\nmatrix: {{lr: [{values}], seed: []}}\nhold: 1\n{wrong}",
        "\n---\n".join(["command: x\nhold: 1\ntimeout: x\nkey: 1"] * 2_000),
    ):
        assert mistakes_in(text)[-1].startswith("and ")
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "env",
    [
        "{A: [hunter2], B: {hunter2: 1}, AQUEUE_X: hunter2, hunter-2: hunter2}",
        "{A: hunter2, A: hunter2}\nenv: hunter2",
        "[hunter2]\ntimeout: x",
    ],
)
def test_no_mistake_shows_a_value_of_the_environment(env: str) -> None:
    assert not [found for found in mistakes_in(f"command: x\nenv: {env}\n") if "hunter2" in found]
