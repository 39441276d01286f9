"""A run's task as text that a person can edit, and back: a task file of one document, without its defaults."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec
import yaml

from aqueue import units
from aqueue.formats import given_tasks, task_file
from aqueue.formats.notify_words import NEVER
from aqueue.formats.task_keys import Keys
from aqueue.formats.yaml_values import parse_scalar
from aqueue.model.config import Defaults
from aqueue.model.notification import Notify
from aqueue.model.submission import Submission
from aqueue.model.task import Isolation, Retries, Task
from aqueue.model.values import Value, plain_text

_ONCE: Final = ("matrix", "samples", "seed", "needs", "schedule", "at", "timezone", "catchup_window", "overlap")
"""The keys that only count while a task is queued."""

_LONGEST: Final = 60
"""The longest value that is shown in full as a difference."""

_BARE: Final = re.compile(r"[A-Za-z_./][\w./@+-]*", re.ASCII)
"""Texts that need no quotes, whatever their place is."""


_DEFAULTS: Final = msgspec.to_builtins(given_tasks.as_written(Task(name="", command="")))


class _Plain(str):
    """A text that is written without quotes: a number or a truth value in its spelling."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """A writer of texts that our reader, which differs from YAML's, reads as the same."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - yaml's signature
        return True

    def plain(self, data: _Plain) -> yaml.ScalarNode:
        tag: str = self.resolve(yaml.ScalarNode, str(data), (True, False))  # type: ignore[no-untyped-call]  # untyped in the stubs, too
        return yaml.ScalarNode(tag=tag, value=str(data))

    def text(self, data: str) -> yaml.ScalarNode:
        style = None if _is_bare(data) else "'" if data.isprintable() else '"'
        if "\n" in data and all(line.isprintable() for line in data.split("\n")):
            style = "|"
        return yaml.ScalarNode(tag="tag:yaml.org,2002:str", value=data, style=style)

    def sequence(self, data: list[Any]) -> yaml.SequenceNode:
        return self.represent_sequence("tag:yaml.org,2002:seq", data, flow_style=True)


_Dumper.add_representer(_Plain, _Dumper.plain)
_Dumper.add_representer(str, _Dumper.text)
_Dumper.add_representer(list, _Dumper.sequence)


def as_text(request: Submission) -> str:
    """Return what a run is to do as the text of a task file.

    Args:
        request: its task, which is held if the run is, and the ids of the runs that it comes after.
    """
    written = _written(request)
    keys = {key: written[key] for key in Keys.__struct_fields__ if written.get(key) not in (None, [], {})}
    return yaml.dump(keys, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 20)


def parse(text: str, file: str, task: Task, targets: Collection[str] | None = None) -> Submission:
    """Return what an edited text asks for.

    Args:
        file: its name in errors.
        targets: the names of the targets of messages; None if they are not known.
        task: the task as it was, whose fields without a key are kept.

    Raises:
        FileError: it has mistakes, or asks for what only a new run can have.
    """
    here = task.working_dir
    content = task_file.parse(text, file, Defaults(name=None, working_dir=here, base=here, targets=targets))
    document, *others = content.documents
    if others:
        raise others[0].error("a run has one task", "remove this document")
    for key in _ONCE:
        if key in document.value:
            hint = "remove it, or queue a new task: `aqueue enqueue`"
            raise document.error(f"{key}: a run that exists cannot have it", hint, at=(key,), key=True)
    (request,) = content.requests
    made = msgspec.structs.replace(request.task, base_env=task.base_env, arguments=task.arguments)
    if (made.isolate is None) != (task.isolate is None):
        hint = "leave it as it was; the code was kept when the run was queued, or not"
        raise document.error("isolate: this cannot be changed any more", hint, at=("isolate",), key=True)
    if made.isolate is not None and made.working_dir != task.working_dir:
        hint = "leave it as it was; the checkout has the code of this directory"
        raise document.error("working_dir: an isolated run cannot have another", hint, at=("working_dir",))
    return msgspec.structs.replace(request, task=with_unwritten(made, task))


def with_unwritten(made: Task, task: Task) -> Task:
    """Return a task that was read, with what no text says about the task as it was."""
    changes: dict[str, Any] = {}
    if made.priority.word == task.priority.word:
        changes["priority"] = task.priority
    if made.isolate is not None:
        changes["isolate"] = msgspec.structs.replace(made.isolate, snapshot=task.snapshot)
    return msgspec.structs.replace(made, **changes)


def differences(before: Submission, after: Submission) -> list[str]:
    """Return what differs between two requests, in words; of variables, only the names.

    >>> from aqueue.model.task import Task
    >>> one = Task(name="t", command="true", params={"lr": 0.1}, timeout=60.0)
    >>> two = Task(name="t", command="true", params={"lr": 0.2}, env={"TOKEN": "secret"})
    >>> differences(Submission(task=one), Submission(task=two))
    ['lr: 0.1 → 0.2', 'env TOKEN', 'timeout: 1m → none']
    """
    old, new = (_written(one) | _said_anyway(one.task) for one in (before, after))
    found: list[str] = []
    for key in Keys.__struct_fields__:
        if old.get(key) == new.get(key):
            continue
        if key == "env":
            names = dict.fromkeys([*old["env"], *new["env"]])
            found += [f"env {name}" for name in names if old["env"].get(name) != new["env"].get(name)]
        elif key == "params":
            for name in dict.fromkeys([*old["params"], *new["params"]]):
                found += _difference(name, old["params"].get(name), new["params"].get(name))
        else:
            found += _difference(key, old.get(key), new.get(key))
    return found


def _said_anyway(task: Task) -> dict[str, str]:
    """Return the keys whose defaults are more telling than none."""
    return {"priority": task.priority.word, "queue": task.queue or task.name}


def _difference(key: str, old: Any, new: Any) -> list[str]:
    return [] if old == new else [f"{key}: {_shown(old)} → {_shown(new)}"]


def _shown(written: Any) -> str:
    """Return a value in a line, cut if it is long."""
    if isinstance(written, list):
        text = ", ".join(map(str, written))
    elif isinstance(written, dict):
        text = ", ".join(f"{key} {_shown(value)}" for key, value in written.items())
    else:
        text = "" if written is None else str(written)
    text = " ".join(text.split())
    return (text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…") or "none"


def _written(request: Submission) -> dict[str, Any]:
    """Return the keys of a request, with their defaults as None or empty."""
    after_any = _Plain("true") if request.after_any else None
    return {**_as_written(request.task), "after": [*map(_Plain, request.after)], "after_any": after_any}


def _as_written(task: Task) -> dict[str, Any]:
    """Return the keys of a task that differ from their defaults."""
    literal = _unfilled if task.is_literal else str
    command = task.command if isinstance(task.command, str) else [literal(word) for word in task.command]
    plain = msgspec.to_builtins(given_tasks.as_written(task))
    return {key: _node(value) for key, value in plain.items() if value != _DEFAULTS.get(key)} | {
        "command": command,
        "params": {name: _value(value) for name, value in task.params.items()},
        "env": {name: literal(text) for name, text in task.env.items()},
        "timeout": _duration(task.timeout),
        "log": None if task.log_limit is None else {"limit": _size(task.log_limit)},
        "retries": _retries(task.retries),
        "gpu_memory": _size(task.gpu_memory),
        "isolate": _isolation(task.isolate),
        "notify": _notify(task.notify),
    }


def _node(value: Any) -> Any:
    """Return a value with its numbers and truth values as they are written."""
    if isinstance(value, list | tuple):
        return [_node(one) for one in value]
    if isinstance(value, dict):
        return {key: _node(one) for key, one in value.items()}
    return value if isinstance(value, str) else _Plain(plain_text(value))


def _value(value: Value) -> str:
    # A null that is not spelled is an empty text to the command.
    if isinstance(value, str) or value is None:
        return plain_text(value)
    return _Plain(plain_text(value))


def _is_bare(text: str) -> bool:
    return _BARE.fullmatch(text) is not None and isinstance(parse_scalar(text), str)


def _unfilled(text: str) -> str:
    """Return a literal text as one whose placeholders would be filled in."""
    return text.replace("${", "$${")


def _retries(retries: Retries) -> Any:
    written: Mapping[str, Any] = {
        "limit": _Plain(retries.limit),
        "delay": _duration(retries.delay or None),
        "backoff": None if retries.backoff == 1 else _Plain(retries.backoff),
        "max_delay": _duration(retries.max_delay),
        "exit_codes": [_Plain(code) for code in retries.exit_codes],
    }
    found = {key: value for key, value in written.items() if value not in (None, [])}
    return found if len(found) > 1 else found["limit"] if retries.limit else None


def _isolation(isolate: Isolation | None) -> Any:
    if isolate is None:
        return None
    fields = {"copy": [*isolate.copy], "link": [*isolate.link], "keep": str(isolate.keep)}
    if fields == {"copy": [], "link": [], "keep": "failed"}:
        return "git"
    return {"git": _Plain("true"), **{key: value for key, value in fields.items() if value}}


def _notify(notify: Notify | None) -> Any:
    if notify is None:
        return None
    return NEVER if notify.on == () else _node(msgspec.to_builtins(notify))


def _duration(seconds: float | None) -> str | None:
    return None if seconds is None else _Plain(units.write(seconds))


def _size(size: int | None) -> str | None:
    return None if size is None else _Plain(units.write_size(size))
