"""Tasks that come as Python values, read as if they stood in a task file: by the same rules."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

import msgspec

from aqueue.errors import FileError, UsageError
from aqueue.formats import names, run_keys, yaml_records, yaml_text
from aqueue.formats.task_keys import HOME, Keys
from aqueue.formats.variable_keys import check_variables
from aqueue.formats.yaml_document import Document
from aqueue.model.config import Defaults
from aqueue.model.submission import Submission
from aqueue.model.task import Isolation, Priority, Retries, Task
from aqueue.model.values import Spelled, Value, plain_text

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE: Final = "task"
"""The name that errors give to what is in no file."""

_NO_KEYS: Final = ("arguments", "base_env", "is_literal", "fault")
"""The fields of a task that a file has no keys for."""

_KEPT: Final = ("params", *_NO_KEYS)
"""The fields that stay as they are given: a param knows how it is written."""


def as_text(mapping: Mapping[str, object]) -> str:
    """Return a mapping in the shape of a task file as the text of one.

    Raises:
        UsageError: it has something that no file could have.
    """
    texts = []
    for key, value in mapping.items():
        try:
            # JSON is YAML in which text is quoted, and so is never taken for a number.
            plain = json.dumps(msgspec.to_builtins(value, enc_hook=os.fspath), ensure_ascii=False)
            plain.encode()
        except UnicodeError:
            raise UsageError(f"{key}: this is not UTF-8", "write it as UTF-8") from None
        except (RecursionError, TypeError, ValueError) as error:
            hint = "use text, numbers, truth values, lists and mappings"
            raise UsageError(f"{key}: a task file could not have this: {error}", hint) from None
        texts.append(f"{json.dumps(str(key))}: {plain}\n")
    return "".join(texts)


def read(task: Task, directory: str) -> Task:
    """Return a task as a file with its values would make it.

    Args:
        directory: the absolute path that its `working_dir` is relative to.

    Raises:
        UsageError: one of its values is not what its key expects.
    """
    text = as_text(as_written(task))
    try:
        (node,) = yaml_text.compose(text, FILE)
        document = Document(FILE, node, text)
        written = yaml_records.convert(document, Keys, home=HOME)
        made = run_keys.task(document, written, Defaults(name=None, working_dir=directory, base=directory))
        check_variables(document, ("base_env",), {**task.base_env})
        if any(isinstance(argument, str) and "\0" in argument for argument in task.arguments):
            raise UsageError("arguments: a value cannot have a NUL character in it", "leave it out")
        made = msgspec.structs.replace(made, **{field: getattr(task, field) for field in _KEPT})
        if not task.is_literal:
            names.check(document, Submission(task=made))
    except FileError as error:
        # There is no file in which a place would tell anything.
        place = f"{error.path}:{error.line}:{error.column}: "
        raise UsageError(error.message.removeprefix(place), error.hint) from None
    return made


def as_written(task: Task) -> dict[str, Any]:
    """Return the keys of a task, with the values that a file would have for them."""
    fields = {name: value for name, value in msgspec.structs.asdict(task).items() if name not in _NO_KEYS}
    limit = fields.pop("log_limit")
    fields["log"] = None if limit is None else {"limit": limit}
    if isinstance(task.priority, Priority):
        fields["priority"] = task.priority.word
    if isinstance(task.params, dict):
        fields["params"] = {name: _plain(value) for name, value in task.params.items()}
    if isinstance(task.retries, Retries):
        fields["retries"] = _left(msgspec.structs.asdict(task.retries))
    if isinstance(task.isolate, Isolation):
        fields["isolate"] = {"git": True, **msgspec.structs.asdict(task.isolate)}
        del fields["isolate"]["snapshot"]
    return _left(fields)


def _plain(value: Value) -> Value:
    return plain_text(value) if isinstance(value, Spelled) else value


def _left(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
