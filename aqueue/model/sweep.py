"""Sweeps: several values of each param, to be combined. Pure."""

from typing import Final

import msgspec

from aqueue.model.task import MAX_COMBINATIONS
from aqueue.model.values import Value

MOST: Final = MAX_COMBINATIONS
"""The number of combinations a sweep may have, and how many values an axis."""

AS_TEXT: Final = "or, if it is text, put it under params"
HOW_MANY: Final = "with samples: 20"
"""Parts of hints that are true of a task file; a command line says it in another way."""

Combination = dict[str, Value]


class SweepError(ValueError):
    """A sweep makes no sense; its text, for people, says what is wrong and behind a semicolon what to do."""

    @property
    def message(self) -> str:
        """Return what is wrong."""
        return str(self).partition("; ")[0]

    @property
    def hint(self) -> str:
        """Return what to do about it; empty if that is all."""
        return str(self).partition("; ")[2]


class Span(msgspec.Struct, frozen=True, omit_defaults=True):
    """All numbers between two, of which only samples can be taken.

    Attributes:
        low, high: the least and the largest; `low` is less than `high`, and more than 0 if `is_log`.
        is_log: each order of magnitude is as likely as any other, rather than each number.
    """

    low: float
    high: float
    is_log: bool = False


Axis = tuple[Value, ...] | Span


class Sweep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A sweep: the axes to combine.

    Attributes:
        axes: for each param, what it may be.
        exclude: a combination that has all pairs of one of these is left out.
        include: what is added to combinations, or is one of its own.
        samples: how many combinations are picked at random; None: all are taken.
        seed: of the same sweep and seed, the same combinations are picked, and more samples begin with those that
            fewer would be. None: nobody has said, and it is 0, or another at each due time of a schedule.
    """

    axes: dict[str, Axis]
    exclude: tuple[Combination, ...] = ()
    include: tuple[Combination, ...] = ()
    samples: int | None = None
    seed: int | None = None
