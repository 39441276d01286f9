"""Each way in which a task can be wrong: where that is, what it says, and what it says to do."""

import pytest

from aqueue.errors import FileError
from aqueue.formats.task_file import parse
from aqueue.model.config import Defaults

DEFAULTS = Defaults(name="train", working_dir="/home/me", base="/srv/base")

NAME = "expected 1 to 64 letters, digits, '_', '.' or '-', got"
COMMAND = "expected a shell command, or a list of a program and its arguments, got"
LENGTH = "expected a length of time such as 90, 90s, 1h30m or 2d12h, got"
SIZE = "expected a size from 64KiB upwards such as 1GiB, or 0 for no limit, got"
RETRIES = "expected a number, or {limit: 2, delay: 10s, backoff: 2, max_delay: 5m, exit_codes: [1, 75]}, got"
PARAMS = "expected keys and plain values, such as {lr: 0.1}, got"
ONE = "would be a single text here"
EACH = "for a run of each value, write matrix:"
QUOTED = "if it is text, put it in quotes"
ENV = "expected keys and plain values, such as {OMP_NUM_THREADS: 4}, got"
DOCUMENTS = "write each task as its own document, with --- between them"
TAGS = "expected a list of key=value or key, got"
KEYS = (
    "known keys: command, name, queue, priority, params, env, working_dir, shell, timeout, log, retries,"
    " requeue, tags, hold, gpus, gpu_memory, group, matrix, samples, seed, after, needs, after_any, isolate,"
    " outputs, stdin, progress, schedule, at, timezone, catchup_window, overlap, notify"
)

WHOLE = [
    ("", "1:1: there is no task in it", "a task needs at least: command: …"),
    ("# nothing yet\n", "1:1: there is no task in it", "a task needs at least: command: …"),
    (
        "python train.py",
        "1:1: expected keys and values, got 'python train.py'",
        "write `command: python train.py`",
    ),
    ("- command: x", "1:1: expected keys and values, got a list", DOCUMENTS),
    ("~", "1:1: expected keys and values, got nothing", "write `command: …`"),
    ("# first\nname: x", "2:1: 'command' is missing", "add: command: …"),
]

# Each is the second line of a task whose first is its command.
LINES = [
    ("comand: y", "1: unknown key 'comand'", "did you mean 'command'?"),
    ("prio: high", "1: unknown key 'prio'", "did you mean 'priority'?"),
    ("workdir: .", "1: unknown key 'workdir'", "did you mean 'working_dir'?"),
    ("colour: red", "1: unknown key 'colour'", KEYS),
    ("5: red", "1: unknown key '5'", KEYS),
    ("command: y", "1: 'command' is given twice", "keep one of them"),
    ("name: a b", f"7: name: {NAME} 'a b'", ""),
    ("name: ..", f"7: name: {NAME} '..'", ""),
    ("name: ''", f"7: name: {NAME} ''", ""),
    ("name: [a]", f"7: name: {NAME} a list", ""),
    (f"name: {'x' * 65}", f"7: name: {NAME} {'x' * 65!r}", ""),
    ("queue: a/b", f"8: queue: {NAME} 'a/b'", ""),
    ("queue: {a: 1}", f"8: queue: {NAME} keys and values", ""),
    ("priority: urgent", "11: priority: expected high or low, got 'urgent'", ""),
    ("priority: 1", "11: priority: expected high or low, got 1", ""),
    ("params: [a]", f"9: params: {PARAMS} a list", ""),
    ("params: 5", f"9: params: {PARAMS} 5", ""),
    (
        "params: {a: 1, b: [1, 0x1F]}",
        f"19: params.b: {PARAMS} a list",
        "for a run of each value, write matrix: {b: [1, 0x1F]}",
    ),
    (
        "params: {lr: [0.1, 0.010, 1e-3, 4]}",
        f"14: params.lr: {PARAMS} a list",
        "for a run of each value, write matrix: {lr: [0.1, 0.010, 1e-3, …]}",
    ),
    (
        "params: {seed: [1..5]}",
        f"16: params.seed: {PARAMS} a list",
        "for a run of each value, write matrix: {seed: range(1, 6)}",
    ),
    ("params: {a: [[1]]}", f"13: params.a: {PARAMS} a list", "put it in quotes if it is text"),
    (
        "params: {train: {lr: 1}}",
        f"17: params.train: {PARAMS} keys and values",
        "write the whole name of each: {train.lr: …}",
    ),
    ("params: {seed: 1..5}", f"16: params.seed: '1..5' {ONE}", f"{EACH} {{seed: range(1, 6)}}; {QUOTED}"),
    ("params: {s: range(1, 5)}", f"13: params.s: 'range(1, 5)' {ONE}", f"{EACH} {{s: range(1, 5)}}; {QUOTED}"),
    ("params: {s: choice(a, b)}", f"13: params.s: 'choice(a, b)' {ONE}", f"{EACH} {{s: choice(a, b)}}; {QUOTED}"),
    ("params: {a-b: 1}", "10: params: this cannot be the name of a variable", "use letters, digits and '_'"),
    (
        "params: {AQUEUE_ID: 1}",
        "10: params: names that begin with AQUEUE_ are aqueue's own",
        "choose another name",
    ),
    ('params: {a: "x\\0"}', "10: params: a value cannot have a NUL character in it", "leave it out"),
    ("env: [A=1]", f"6: env: {ENV} a list", ""),
    ("env: {A: {B: 1}}", f"10: env.A: {ENV} keys and values", ""),
    ("env: {1A: 1}", "7: env: this cannot be the name of a variable", "use letters, digits and '_'"),
    ("env: {AQUEUE_ID: 1}", "7: env: names that begin with AQUEUE_ are aqueue's own", "choose another name"),
    ('env: {A: "x\\0"}', "7: env: a value cannot have a NUL character in it", "leave it out"),
    ("working_dir: [5]", "14: working_dir: expected a directory, got a list", ""),
    ("working_dir:", "13: working_dir: expected a directory, got nothing", ""),
    ("working_dir: null", "14: working_dir: expected a directory, got nothing", ""),
    ("shell: ~", "8: shell: expected the path of a shell, such as /bin/bash, got nothing", ""),
    ("timeout:", f"9: timeout: {LENGTH} nothing", ""),
    ("queue: ~", f"8: queue: {NAME} nothing", ""),
    ("params:", f"8: params: {PARAMS} nothing", ""),
    ("retries: {limit: 1, max_delay: }", f"32: retries.max_delay: {LENGTH} nothing", ""),
    ("requeue:", "9: requeue: expected true or false, got nothing", ""),
    ("shell: bash", "8: shell: expected the path of a shell, such as /bin/bash, got 'bash'", ""),
    ("shell: [a]", "8: shell: expected the path of a shell, such as /bin/bash, got a list", ""),
    ("timeout: soon", f"10: timeout: {LENGTH} 'soon'", ""),
    ("timeout: -1", f"10: timeout: {LENGTH} -1", ""),
    ("timeout: true", f"10: timeout: {LENGTH} true", ""),
    ("timeout: [1]", f"10: timeout: {LENGTH} a list", ""),
    ("log: 1GiB", "6: log: expected {limit: 1GiB}, got '1GiB'", ""),
    ("log:", "5: log: expected {limit: 1GiB}, got nothing", ""),
    ("log: {}", "6: 'limit' is missing", "add: limit: …"),
    ("log: {limit: 65535}", f"14: log.limit: {SIZE} 65535", ""),
    ("log: {limit: many}", f"14: log.limit: {SIZE} 'many'", ""),
    ("log: {limit: -1}", f"14: log.limit: {SIZE} -1", ""),
    ("log: {limit: }", f"14: log.limit: {SIZE} nothing", ""),
    ("log: {most: 1GiB}", "7: unknown key 'most'", "known keys: limit"),
    ("retries: -1", f"10: retries: {RETRIES} -1", ""),
    ("retries: often", f"10: retries: {RETRIES} 'often'", ""),
    ("retries: 1.5", f"10: retries: {RETRIES} 1.5", ""),
    ("retries: [1]", f"10: retries: {RETRIES} a list", ""),
    ("retries: {delay: 1s}", "10: 'limit' is missing", "add: limit: …"),
    ("retries: {limit: -1}", "18: retries.limit: expected a number from 0 upwards, got -1", ""),
    ("retries: {limit: 1.5}", "18: retries.limit: expected a number from 0 upwards, got 1.5", ""),
    ("retries: {limit: 1, delay: x}", f"28: retries.delay: {LENGTH} 'x'", ""),
    ("retries: {limit: 1, delay: [1]}", f"28: retries.delay: {LENGTH} a list", ""),
    ("retries: {limit: 1, max_delay: -1}", f"32: retries.max_delay: {LENGTH} -1", ""),
    ("retries: {limit: 1, backoff: 0.5}", "30: retries.backoff: expected a number from 1 upwards, got 0.5", ""),
    ("retries: {limit: 1, backoff: x}", "30: retries.backoff: expected a number from 1 upwards, got 'x'", ""),
    ("retries: {limit: 1, backof: 2}", "21: unknown key 'backof'", "did you mean 'backoff'?"),
    ("retries: {limit: 1, on: 2}", "21: unknown key 'on'",
     "known keys: limit, delay, backoff, max_delay, exit_codes"),
    (
        "retries: {limit: 1, exit_codes: [1, 256]}",
        "37: retries.exit_codes.1: expected a list of exit codes, 0 to 255, got 256",
        "",
    ),
    (
        "retries: {limit: 1, exit_codes: 1}",
        "33: retries.exit_codes: expected a list of exit codes, 0 to 255, got 1",
        "",
    ),
    ("requeue: 1", "10: requeue: expected true or false, got 1", ""),
    ("hold: maybe", "7: hold: expected true or false, got 'maybe'", ""),
    ("tags:", f"6: tags: {TAGS} nothing", ""),
    ("tags: [3.10, '=x']", f"7: tags: {TAGS} ['3.10', '=x']", ""),
    ("tags: {a: b}", f"7: tags: {TAGS} keys and values", ""),
    ("tags: ['=x']", f"7: tags: {TAGS} ['=x']", ""),
    ("tags: ['a,b']", f"7: tags: {TAGS} ['a,b']", ""),
    ("tags: 'a, =b'", f"7: tags: {TAGS} 'a, =b'", ""),
]  # fmt: skip

COMMANDS = [
    ("command:", f"9: command: {COMMAND} nothing", ""),
    ("command: 5", f"10: command: {COMMAND} 5", ""),
    ("command: {a: b}", f"10: command: {COMMAND} keys and values", ""),
    ("command: ''", "10: the command is empty", ""),
    ("command: '  '", "10: the command is empty", ""),
    ("command: []", "10: the command is empty", ""),
    ("command: ['', x]", "10: the command is empty", ""),
    ('command: "a\\0"', "10: the command has a NUL character in it", ""),
    ('command: [a, "b\\0"]', "10: the command has a NUL character in it", ""),
]


def error_in(text: str) -> tuple[str, str]:
    with pytest.raises(FileError) as caught:
        parse(text, "train.yaml", DEFAULTS)
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize(("text", "message", "hint"), WHOLE)
def test_a_file_that_holds_no_task_is_refused(text: str, message: str, hint: str) -> None:
    assert error_in(text) == (f"train.yaml:{message}", hint)


@pytest.mark.parametrize(("line", "message", "hint"), LINES)
def test_a_wrong_line_is_refused(line: str, message: str, hint: str) -> None:
    assert error_in(f"command: x\n{line}\n") == (f"train.yaml:2:{message}", hint)


@pytest.mark.parametrize(("line", "message", "hint"), COMMANDS)
def test_a_wrong_command_is_refused(line: str, message: str, hint: str) -> None:
    assert error_in(f"name: x\n{line}\n") == (f"train.yaml:2:{message}", hint)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("command: x\nretries: {limit: 1, exit_codes: [1, a]}", "2:37"),
        ("command: [python, [a]]", "1:19"),
        ("command: x\ntags: [a, [b]]", "2:11"),
        ("command: x\ntimeout: 1e999", "2:10"),
        ("command: x\nparams:\n  a: 1\n  b:\n    - 1", "5:5"),
        ("command: x\nretries:\n  limit: 1\n  backof: 2", "4:3"),
    ],
)
def test_the_place_is_that_of_the_very_value(text: str, where: str) -> None:
    assert error_in(text)[0].startswith(f"train.yaml:{where}: ")


@pytest.mark.parametrize("value", ["9" * 400 + "s", "9" * 400])
def test_a_timeout_that_never_comes_is_refused(value: str) -> None:
    assert error_in(f"command: x\ntimeout: {value}")[0].startswith("train.yaml:2:10: timeout: expected a length")


@pytest.mark.parametrize(
    "env",
    [
        "env: hunter2",
        "env: [hunter2]",
        "env: ['PASSWORD=hunter2']",
        "env: {PASSWORD: [hunter2]}",
        "env: {PASSWORD: {hunter2: hunter2}}",
        'env: {PASSWORD: "hunter2\\0"}',
        "env: {PASSWORD: hunter2, PASSWORD: hunter2}",
        "env: {PASSWORD: *hunter2}",
        "env: {PASSWORD: 'hunter2",
        "env: {PASSWORD: @hunter2}",
        "env: {PASSWORD: %hunter2}",
        "env: {PASSWORD: hunter2: hunter2}",
        "env: {AQUEUE_X: hunter2}",
        "env:\n  PASSWORD: hunter2\n   X: 1",
        "env:\n  PASSWORD: hunter2\x07",
        "env:\n  PASSWORD: !hunter2",
        "env:\n  PASSWORD: !hunter2 x",
        "env:\n  PASSWORD: &hunter2 [x]",
        "env:\n  PASSWORD=hunter2",
        "env:\n  PASSWORD=hunter2: ''",
        "env: {PASSWORD=hunter2}",
        "env: {PASSWORD:hunter2}",
    ],
)
def test_no_error_shows_a_value_of_the_environment(env: str) -> None:
    message, hint = error_in(f"command: x\n{env}\n")
    assert "hunter2" not in message + hint


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("run", "did you mean 'command'?"), ("cmd", "did you mean 'command'?"),
        ("cwd", "did you mean 'working_dir'?"), ("depends_on", "did you mean 'needs' or 'after'?"),
        ("depends", "did you mean 'needs' or 'after'?"), ("cron", "did you mean 'schedule'?"),
        ("environment", "did you mean 'env'?"), ("retry", "did you mean 'retries'?"),
        ("TIMEOUT", "did you mean 'timeout'?"), ("working-dir", "did you mean 'working_dir'?"),
        ("tasks", DOCUMENTS), ("jobs", DOCUMENTS),
    ],
)  # fmt: skip
def test_a_key_of_another_tool_is_told_as_ours(key: str, hint: str) -> None:
    assert error_in(f"command: x\n{key}: 1\n")[1] == hint


@pytest.mark.parametrize("text", ["params: {lr: 1}", "matrix: {lr: [1, 2]}"])
def test_a_param_as_a_shell_would_have_it_is_refused_in_a_list(text: str) -> None:
    message, hint = error_in(f"command: [echo, $lr]\n{text}\n")
    assert message == "train.yaml:1:17: command: $lr in a list is taken literally: no shell expands it"
    assert hint == "write ${lr}"
