"""Sweeps: several values of each param, to be combined. Pure."""

from typing import Final

import msgspec

from aqueue.model.values import Value

TEXT_HINT: Final = "or, if it is text, put it under params"
SAMPLES_HINT: Final = "with samples: 20"
"""Parts of hints for task files; the command line replaces them."""

Combination = dict[str, Value]


class SweepError(ValueError):
    """A sweep is invalid; the text says what is wrong and, after a semicolon, what to do."""

    @property
    def message(self) -> str:
        """Return what is wrong."""
        return str(self).partition("; ")[0]

    @property
    def hint(self) -> str:
        """Return what to do about it; empty if the text does not say."""
        return str(self).partition("; ")[2]


class Span(msgspec.Struct, frozen=True, omit_defaults=True):
    """A continuous range of numbers, which can only be sampled.

    Attributes:
        low, high: the bounds; `low` is less than `high`, and positive if `is_log`.
        is_log: whether the distribution is uniform over the logarithm instead of the number.
    """

    low: float
    high: float
    is_log: bool = False


Axis = tuple[Value, ...] | Span


class Sweep(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A sweep: the axes to combine.

    Attributes:
        axes: the values of each param.
        exclude: combinations that contain all pairs of an entry are left out.
        include: pairs that are added to matching combinations, or form a combination of their own.
        samples: the number of combinations to pick at random; None: take all.
        seed: the same sweep and seed give the same combinations, and more samples begin with the fewer ones.
            None: 0, or a different seed at each due time of a schedule.
    """

    axes: dict[str, Axis]
    exclude: tuple[Combination, ...] = ()
    include: tuple[Combination, ...] = ()
    samples: int | None = None
    seed: int | None = None
