"""Params given by a command line or a program, and the sweeps they make."""

import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from aqueue.errors import UsageError
from aqueue.model.basics import is_name
from aqueue.model.submission import Submission
from aqueue.model.task import PARAM, is_param
from aqueue.model.values import Value, plain_text

if TYPE_CHECKING:
    from aqueue.model.sweep import Axis, Combination

_SEVERAL = re.compile(r"\S+(\s+[A-Za-z_][\w.]*=\S*)+", re.ASCII)


class Params(msgspec.Struct, frozen=True):
    """The given params.

    Attributes:
        named: params with one value.
        axes: params with several values, which make a sweep.
        new: params declared as not in the files.
        positional: `$1`, `$2` … of a shell command.
        doubtful: positional params before a second `--`, which may be mistyped params.
        samples, seed: of all sweeps; None: as the file says.
    """

    named: dict[str, Value]
    axes: "dict[str, Axis]"
    positional: tuple[str, ...]
    samples: int | None
    seed: int | None
    new: frozenset[str] = frozenset()
    doubtful: tuple[str, ...] = ()

    def applied_to(self, request: Submission, requests: Sequence[Submission]) -> Submission:
        """Return a request with its params replaced by these.

        Args:
            requests: all of the file. Several values of a param are for the tasks that have it; if none has, for
                those that are sweeps; if none is, for all.

        Raises:
            UsageError: the request cannot take them.
        """
        task = request.task
        if self.positional and not isinstance(task.command, str):
            raise UsageError(
                f"{task.name} has a list as its command, which takes no positional params",
                "make the command a string, or give K=V",
            )
        arguments = self.positional or task.arguments
        task = msgspec.structs.replace(task, params=task.params | self.named, arguments=arguments)
        changed = self._swept(msgspec.structs.replace(request, task=task), requests)
        if (self.samples, self.seed) != (None, None) and not any(
            self._swept(one, requests).sweep for one in requests
        ):
            option = "--seed" if self.samples is None else "--samples"
            raise UsageError(f"{option} needs a param with several values", "give one: -- 'lr=uniform(0, 1)'")
        from aqueue.model.sweep import SAMPLES_HINT, SweepError

        try:
            last = changed.longest_name()
        except SweepError as error:
            hint = error.hint.replace(SAMPLES_HINT, "with --samples 20")
            raise UsageError(f"{task.name}: {error.message}", hint) from None
        if not is_name(last):
            raise UsageError(f"{last}: the name is too long for a sweep", "choose a shorter one with --name")
        return changed

    def _swept(self, request: Submission, requests: Sequence[Submission]) -> Submission:
        from aqueue.model.sweep import Sweep

        sweep = request.sweep or Sweep(axes={})
        # A single value is an axis, too, because `exclude` may name it.
        axes = {key: (self.named[key],) if key in self.named else axis for key, axis in sweep.axes.items()}
        for key, axis in self.axes.items():
            if _is_meant(request, key, requests):
                axes[key] = axis
        if request.sweep is None and not axes:
            return request
        samples = sweep.samples if self.samples is None else self.samples
        seed = sweep.seed if self.seed is None else self.seed
        include = tuple(self._included(sweep.include, sweep.axes))
        sweep = msgspec.structs.replace(sweep, axes=axes, include=include, samples=samples, seed=seed)
        return msgspec.structs.replace(request, sweep=sweep)

    def _included(self, entries: "Sequence[Combination]", axes: "Mapping[str, Axis]") -> "Iterator[Combination]":
        """Yield what the file adds to combinations, without what is given here: that goes before it.

        Args:
            axes: of the file. What is added to other values of them than are given is added to nothing.
        """
        given = {**self.axes, **{name: (value,) for name, value in self.named.items()}}
        for entry in entries:
            if any(name in axes and not _gives(given[name], entry[name]) for name in given.keys() & entry.keys()):
                continue
            if left := {name: value for name, value in entry.items() if name in axes or name not in given}:
                yield left


def params_in(
    words: Sequence[str], samples: int | None = None, seed: int | None = None, new: Sequence[str] = ()
) -> Params:
    """Read the params of a command line.

    Args:
        words: the words after `--`; those after a second one are always positional.
        new: params given with `--new`, which the files do not have.

    Raises:
        UsageError: a param is not valid.
    """
    named: dict[str, Value] = {}
    axes: dict[str, Axis] = {}
    end = words.index("--") if "--" in words else len(words)
    words, literal = words[:end], tuple(words[end + 1 :])
    for word in new:
        if not _is_named(word):
            raise UsageError(f"--new {word}: expected a param and its value", "write it as in --new lr=0.1")
    for word in (*filter(_is_named, words), *new):
        key, _, value = word.partition("=")
        if not is_param(key):
            raise UsageError(f"{key}: names that begin with AQUEUE_ are aqueue's own", "choose another name")
        if key in named or key in axes:
            raise UsageError(
                f"{key} is given twice", "keep one of them; several values are written 'lr=[0.1,0.01]'"
            )
        if (axis := _axis(key, value.strip())) is not None:
            axes[key] = axis
        else:
            named[key] = _value(key, value)
    doubtful = tuple(word for word in words if not _is_named(word))
    names = frozenset(word.partition("=")[0] for word in new)
    return Params(named, axes, doubtful + literal, samples, seed, names, doubtful)


def _gives(axis: "Axis", value: Value) -> bool:
    return isinstance(axis, tuple) and any(plain_text(one) == plain_text(value) for one in axis)


def _is_named(word: str) -> bool:
    key, equals, _ = word.partition("=")
    return bool(equals) and PARAM.fullmatch(key) is not None


def _axis(key: str, written: str) -> "Axis | None":
    from aqueue.formats import sweep_syntax
    from aqueue.model import sweep as sweeps

    if not sweep_syntax.is_sweep(written):
        return None
    try:
        return sweep_syntax.parse_axis(written)
    except sweeps.SweepError as error:
        hint = error.hint.replace(sweeps.TEXT_HINT, f"for one text, write {_as_text(key, written)}")
        raise UsageError(f"{key}: {error.message}", hint) from None


def _value(key: str, written: str) -> Value:
    from aqueue.formats.lookalikes import kind_of, meant_by
    from aqueue.formats.yaml_document import quoted
    from aqueue.formats.yaml_values import parse_value

    word = f"{key}={written}"
    if written.startswith("["):
        raise UsageError(f"{word}: its brackets are not closed", "quote it for the shell: 'lr=[0.1, 0.01]'")
    if (text := quoted(written)) is not None:
        return text
    as_text = f"for one text, write {_as_text(key, written)}"
    if _SEVERAL.fullmatch(written):
        raise UsageError(
            f"{shlex.quote(word)} is read as one param, not several",
            f"for several params, write {word}; {as_text}",
        )
    if meant := meant_by(written):
        hint = f"for several, write '{key}={meant}'; {as_text}"
        raise UsageError(f"{word} is read as one text value, not {kind_of(meant)}", hint)
    return parse_value(written)


def _as_text(key: str, written: str) -> str:
    return shlex.quote(f'{key}="{written}"')


def _is_meant(request: Submission, param: str, requests: Sequence[Submission]) -> bool:
    if any(_has(one, param) for one in requests):
        return _has(request, param)
    return request.sweep is not None or all(one.sweep is None for one in requests)


def _has(request: Submission, param: str) -> bool:
    return param in request.task.params or (request.sweep is not None and param in request.sweep.axes)


def params_of(
    values: Mapping[str, object],
    samples: int | None = None,
    seed: int | None = None,
    *,
    new: Mapping[str, object] | None = None,
    arguments: Sequence[str] = (),
) -> Params:
    """Return the params given by a program. A list, tuple or range has several values.

    Args:
        new: more of them, which the files do not have.
        arguments: positional params.

    Raises:
        UsageError: a param is not valid.
    """
    named: dict[str, Value] = {}
    axes: dict[str, Axis] = {}
    added = {} if new is None else new
    for given in (values, added):
        if not isinstance(given, Mapping):
            raise UsageError(f"params: {given!r} is not valid", "expected a mapping of names and values")
    for key, value in (*values.items(), *added.items()):
        if not isinstance(key, str) or PARAM.fullmatch(key) is None or not is_param(key):
            raise UsageError(f"{key!r} cannot be a param", "use letters, digits and '_', and not AQUEUE_…")
        if key in named or key in axes:
            raise UsageError(f"{key} is given twice", "give it in `params` or in `new`")
        if isinstance(value, list | tuple | range):
            axes[key] = tuple(plain_of(key, one) for one in value)
        else:
            named[key] = plain_of(key, value)
    return Params(named, axes, tuple(arguments), samples, seed, frozenset(added))


def plain_of(key: str, value: object) -> Value:
    """Return a plain value; of numbers of other libraries, those that are Python's, too.

    Raises:
        UsageError: it is none.
    """
    if value is None:
        return None
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            plain: Value = kind(value)
            try:
                text = plain_text(plain)
            except ValueError:
                raise UsageError(f"{key}: a number cannot have so many digits", "give it as text") from None
            if "\0" in text:
                raise UsageError(f"{key}: a value cannot have a NUL character in it", "leave it out")
            # No file, and not even the store, has a number that is infinite or none at all.
            return plain if not isinstance(plain, float) or math.isfinite(plain) else plain_text(plain)
    raise UsageError(
        f"{key}: {value!r} is not text, a number or a truth value", "convert it, for instance with float()"
    )
