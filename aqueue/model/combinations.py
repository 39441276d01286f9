"""The combinations of a sweep: the params of each run from the values of each param. Pure."""

import difflib
import math
import random
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from decimal import Context, Decimal
from functools import lru_cache
from itertools import product

from aqueue.model.sweep import SAMPLES_HINT, Combination, Span, Sweep, SweepError
from aqueue.model.task import MAX_COMBINATIONS
from aqueue.model.values import Scalar, Value, plain_text, stands_for

_MAX_TRIES = 20 * MAX_COMBINATIONS
"""The total number of draws, since some combinations are drawn twice or are excluded."""

EXACT = Context(prec=25)
"""A decimal context for exp and ln with equal results everywhere; those of `math` depend on the machine."""

_Pairs = tuple[tuple[bool, Scalar], ...]


def combinations(sweep: Sweep) -> list[Combination]:
    """Return the params of each run, in order.

    Without `samples` these are all combinations that are not excluded, in the order of the axes; the last axis
    changes fastest. With `samples` they are that many different combinations, in the order they were drawn.

    Then the pairs of each `include` entry are added to every combination in which they change no value of an axis;
    they may change a pair that an earlier entry added. An entry that fits no combination becomes one of its own,
    at the end, and no other entry is added to it.

    Numbers are compared by value, or by spelling if an axis has two spellings of a value, such as 3.1 and 3.10;
    `true` is not 1.

    Raises:
        SweepError: the sweep is invalid; for example it has no combination, or more than `MAX_COMBINATIONS`.
    """
    _check(sweep)
    made = _grid(sweep) if sweep.samples is None else _samples(sweep, sweep.samples)
    made += _include(sweep, made)
    if not made:
        raise SweepError("exclude: no combination is left; exclude fewer")
    if len(made) > MAX_COMBINATIONS:
        raise SweepError(
            f"include: with what it adds there are {len(made):,} combinations; the maximum is {MAX_COMBINATIONS:,}"
        )
    return made


def number_at(span: Span, part: float) -> float:
    """Return the number at a fraction, from 0 to 1, of the way from the low to the high end of a span."""
    if span.is_log:
        low, width = _logarithms(span.low, span.high)
        number = float(EXACT.exp(EXACT.fma(Decimal(part), width, low)))
    else:
        number = span.low * (1 - part) + span.high * part
    # Rounding must not leave the span.
    return min(max(number, span.low), span.high)


def amount(count: int) -> str:
    """Return a count in words."""
    # Python refuses to print more than 4,300 digits.
    return f"{count:,}" if count < 10**12 else "very many"


@lru_cache
def _logarithms(low: float, high: float) -> tuple[Decimal, Decimal]:
    """Return the logarithm of `low`, and its difference from that of `high`."""
    least = EXACT.ln(Decimal(low))
    return least, EXACT.subtract(EXACT.ln(Decimal(high)), least)


def _check(sweep: Sweep) -> None:
    if empty := [name for name, axis in sweep.axes.items() if axis == ()]:
        raise SweepError(f"{empty[0]}: it has no values; write at least one")
    if not sweep.axes and (sweep.samples is not None or not sweep.include):
        raise SweepError("there is nothing to combine; write params with their values, such as lr: [0.1, 0.01]")
    if {} in sweep.exclude or {} in sweep.include:
        raise SweepError("an entry of exclude or include is empty; write keys and values")
    for name in (name for excluded in sweep.exclude for name in excluded):
        if name not in sweep.axes:
            near = difflib.get_close_matches(name, sweep.axes, 1, 0.6)
            hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(sweep.axes) or 'none'}"
            raise SweepError(f"exclude: no param of the matrix is called '{name}'; {hint}")


def _identity(value: Value) -> tuple[bool, Scalar]:
    """Return a key to compare values by; unlike in Python, True and 1 differ."""
    scalar = stands_for(value)
    return isinstance(scalar, bool), scalar


def _compared_by_text(sweep: Sweep) -> frozenset[str]:
    """Return the axes with two values that differ only in their spelling."""
    return frozenset(
        name
        for name, axis in sweep.axes.items()
        if not isinstance(axis, Span) and len(set(map(_identity, axis))) < len(axis)
    )


def _pairs(combination: Combination, names: Iterable[str], by_text: Container[str]) -> _Pairs:
    values = [(name, combination[name]) for name in names]
    return tuple([(False, plain_text(value)) if name in by_text else _identity(value) for name, value in values])


def _exclusion(sweep: Sweep) -> Callable[[Combination], bool]:
    """Return a function that returns True for an excluded combination."""
    by_text = _compared_by_text(sweep)
    by_names: dict[tuple[str, ...], set[_Pairs]] = {}
    for excluded in sweep.exclude:
        names = tuple(sorted(excluded))
        by_names.setdefault(names, set()).add(_pairs(excluded, names, by_text))
    return lambda made: any(_pairs(made, names, by_text) in found for names, found in by_names.items())


def _grid(sweep: Sweep) -> list[Combination]:
    if not sweep.axes:
        return []
    values: list[tuple[Value, ...]] = []
    for name, axis in sweep.axes.items():
        if isinstance(axis, Span):
            raise SweepError(f"{name}: it is a continuous range; say how many samples to take, {SAMPLES_HINT}")
        values.append(axis)
    if (count := math.prod(map(len, values))) > MAX_COMBINATIONS:
        hint = f"take fewer values, or pick some combinations {SAMPLES_HINT}"
        found = f"there are {amount(count)} combinations, and the maximum is {MAX_COMBINATIONS:,}"
        raise SweepError(f"{found}; {hint}")
    is_excluded = _exclusion(sweep)
    grid = (dict(zip(sweep.axes, chosen, strict=True)) for chosen in product(*values))
    return [made for made in grid if not is_excluded(made)]


def _samples(sweep: Sweep, count: int) -> list[Combination]:
    if not 1 <= count <= MAX_COMBINATIONS:
        raise SweepError(f"samples: expected a number from 1 to {MAX_COMBINATIONS:,}, got {amount(count)}")
    # Python promises stable results across versions only for random():
    # https://docs.python.org/3/library/random.html#notes-on-reproducibility
    chance = random.Random(sweep.seed or 0).random  # noqa: S311 - not for security
    discrete = [len(axis) for axis in sweep.axes.values() if not isinstance(axis, Span)]
    if len(discrete) == len(sweep.axes) and math.prod(discrete) <= MAX_COMBINATIONS:
        return _picked(_grid(sweep), count, chance)
    return list(_drawn(sweep, count, chance))


def _picked(grid: list[Combination], count: int, chance: Callable[[], float]) -> list[Combination]:
    """Return the first combinations of the shuffled grid."""
    if count > len(grid):
        raise SweepError(f"samples: there are only {len(grid):,} combinations to pick {count:,} from; pick fewer")
    for index in range(count):
        other = index + int(chance() * (len(grid) - index))
        grid[index], grid[other] = grid[other], grid[index]
    return grid[:count]


def _drawn(sweep: Sweep, count: int, chance: Callable[[], float]) -> Iterator[Combination]:
    """Yield combinations drawn axis by axis, for sweeps too large to list."""
    is_excluded = _exclusion(sweep)
    by_text = _compared_by_text(sweep)
    seen = set()
    for _ in range(_MAX_TRIES):
        made: Combination = {}
        for name, axis in sweep.axes.items():
            part = chance()
            made[name] = number_at(axis, part) if isinstance(axis, Span) else axis[int(part * len(axis))]
        pairs = _pairs(made, made, by_text)
        if pairs in seen or is_excluded(made):
            continue
        yield made
        seen.add(pairs)
        if len(seen) == count:
            return
    raise SweepError(
        f"samples: only {len(seen):,} of {count:,} combinations were found; exclude less, or pick fewer"
    )


def _include(sweep: Sweep, originals: Sequence[Combination]) -> list[Combination]:
    """Add the entries of `include` to the originals that they fit, and return those that fit none."""
    alone = []
    by_text = _compared_by_text(sweep)
    # The originals by their values, for each tuple of axis names.
    by_names: dict[tuple[str, ...], dict[_Pairs, list[Combination]]] = {}
    for included in sweep.include:
        names = tuple(name for name in sweep.axes if name in included)
        if names not in by_names:
            by_names[names] = {}
            for original in originals:
                by_names[names].setdefault(_pairs(original, names, by_text), []).append(original)
        fitting = by_names[names].get(_pairs(included, names, by_text), ())
        added = {name: value for name, value in included.items() if name not in sweep.axes}
        for original in fitting:
            original.update(added)
        if not fitting:
            alone.append(dict(included))
    return alone
