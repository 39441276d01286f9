"""The differences between a run and an earlier one that succeeded. Pure."""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from aqueue.model.run import Attempt, Run
from aqueue.model.task import Task
from aqueue.model.values import Value, plain_text
from aqueue.policy.gpu_supply import described
from aqueue.units import listed_gpus, spell, spell_size


class Difference(msgspec.Struct, frozen=True):
    """A difference between two runs.

    Attributes:
        what: the thing that differs, such as `param lr`.
        before, after: its values as text; None if it is not set.
    """

    what: str
    before: str | None
    after: str | None


def nearest(run: Run, candidates: Iterable[Run]) -> Run | None:
    """Return the run with the fewest params that differ from those of `run`, of several the newest."""
    return min(candidates, key=lambda other: (len([*_params(other.task, run.task)]), -other.id), default=None)


def differences(before: tuple[Run, Attempt], after: tuple[Run, Attempt]) -> list[Difference]:
    """Return what differs between two runs; of variables only the names.

    Args:
        before, after: each with the attempt that counts.
    """
    (first, its_attempt), (second, attempt) = before, after
    return [
        *_params(first.task, second.task),
        *_of_tasks(first.task, second.task),
        *_variables(first.task, second.task),
        *_unequal(
            ("commit", _commit(first.task), _commit(second.task)),
            ("python", its_attempt.python, attempt.python),
            ("GPUs", _gpus(its_attempt), _gpus(attempt)),
            ("peak memory", _size(its_attempt.peak_memory), _size(attempt.peak_memory)),
            ("duration", _duration(its_attempt), _duration(attempt)),
        ),
    ]


def _unequal(*triples: tuple[str, str | None, str | None]) -> Iterator[Difference]:
    return (Difference(*triple) for triple in triples if triple[1] != triple[2])


def _params(before: Task, after: Task) -> Iterator[Difference]:
    return _of_mappings("param", _texts(before.params), _texts(after.params))


def _of_mappings(kind: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    names = dict.fromkeys((*before, *after))
    return _unequal(*((f"{kind} {name}", before.get(name), after.get(name)) for name in names))


def _texts(params: Mapping[str, Value]) -> dict[str, str]:
    return {name: plain_text(value) for name, value in params.items()}


def _of_tasks(before: Task, after: Task) -> Iterator[Difference]:
    return _unequal(
        ("command", _words(before.command), _words(after.command)),
        ("positional", _words(before.arguments) or None, _words(after.arguments) or None),
        ("shell", before.shell, after.shell),
        ("working dir", before.working_dir, after.working_dir),
        ("asks for", _asked(before), _asked(after)),
    )


def _words(command: str | Sequence[str]) -> str:
    return command if isinstance(command, str) else shlex.join(command)


def _variables(before: Task, after: Task) -> Iterator[Difference]:
    """Yield the variables that differ, without their values, which may be secrets."""
    for one in _of_mappings("env", before.base_env | before.env, after.base_env | after.env):
        is_changed = one.before is not None and one.after is not None
        yield Difference(
            one.what,
            None if one.before is None else "one value" if is_changed else "set",
            None if one.after is None else "another" if is_changed else "set",
        )


def _asked(task: Task) -> str | None:
    return described(task.gpu_request) if task.gpu_request else None


def _commit(task: Task) -> str | None:
    return task.snapshot.commit[:12] if task.snapshot else None


def _gpus(attempt: Attempt) -> str | None:
    return listed_gpus(gpu.label for gpu in attempt.gpus) if attempt.gpus else None


def _size(size: int | None) -> str | None:
    return None if size is None else spell_size(size)


def _duration(attempt: Attempt) -> str | None:
    return None if attempt.finished_at is None else spell(attempt.finished_at - attempt.started_at)
