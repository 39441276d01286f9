"""No error about a file shows a value of an environment, however the file is mistyped."""

import random

import pytest

from aqueue.errors import FileError
from aqueue.formats import config_file, task_file
from aqueue.model.config import Defaults

SECRET = "s3cret"
# What stands for the secret while a text is mistyped: half of it would be nobody's secret.
MARK = "\1"
DEFAULTS = Defaults(name="x", working_dir="/", base="/")

MISTAKES = [
    "env: {T: choice(s3cret, b}",
    "env: {T: choice(b, s3cret}",
    "env: [x, range(s3cret]",
    "env:{T: s3cret}",
    "env:{T:s3cret, U: abc}",
    "env {T: s3cret, U: abc}",
    "env:\n  T: |\n---\n  s3cret\n",
    'env: {T "a s3cret" U: [x]}',
    "env: {s3cret, s3cret}",
    "env: {<<: s3cret}",
    "env: {T: [choice(s3cret, a)]}",
    "enviroment:{T: s3cret, U: 1}",
    "? more s3cret",
]

TASKS = [
    "env: {T: s3cret, U: abc}\n",
    "env:\n  T: s3cret\n  U: 'x s3cret y'\n",
    "env: {T: choice(s3cret, b)}\n",
    'env: {T: "a s3cret", U: [s3cret]}\n',
    "env: {T: s3cret}\n---\ncommand: x\nenv: &a {Q: s3cret}\n",
    "env: {T: range(s3cret, 1), U: uniform(s3cret)}\n",
]
CONFIGURATIONS = [
    "defaults: {env: {T: s3cret}}\n",
    'defaults:\n  env:\n    T: choice(s3cret, b)\n    U: "s3cret"\n',
]
PIECES = [*"{}[]:,'\"#&*!|>%@`?- \n\t()=<\\/\0", "choice(", "range(", "&a ", "*", "!t ", "---\n", ": "]


def mistyped(text: str, chance: random.Random) -> str:
    """The text with some characters too many, too few, or others."""
    letters = list(text.replace(SECRET, MARK))
    for _ in range(chance.randint(1, 4)):
        index = chance.randrange(len(letters))
        kept = letters[index] if chance.random() < 0.5 or letters[index] == MARK else ""
        letters[index] = kept + (chance.choice(PIECES) if chance.random() < 0.6 else "")
    return "".join(letters).replace(MARK, SECRET)


def complaint(text: str) -> str:
    """Return the errors of a text, as a task file and as a configuration."""
    said = ""
    for parse in (lambda: task_file.parse(text, "f", DEFAULTS), lambda: config_file.parse(text.encode(), "f")):
        try:
            parse()
        except FileError as error:
            said += f"{error.message}\n{error.hint}\n"
    return said


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_an_environment_is_told_without_its_values(mistake: str) -> None:
    said = complaint(f"command: 'true'\n{mistake}\n")
    assert "f:" in said
    assert SECRET not in said


@pytest.mark.parametrize("seed", range(4))
def test_however_an_environment_is_mistyped_no_value_is_shown(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(1000):
        text = mistyped(chance.choice(CONFIGURATIONS + [f"command: 'true'\n{task}" for task in TASKS]), chance)
        assert SECRET not in complaint(text), text


def test_what_can_have_been_meant_is_still_shown() -> None:
    assert "unknown key 'working dir'" in complaint("command: x\nworking dir: y\n")
    assert "unknown key 'env…'\ndid you mean 'env'?" in complaint("command: x\nenv {A: b}\n")
    assert "got 'python train.py'" in complaint("python train.py")
