"""The combinations of a sweep: from several values of each param, the params of each run. Pure."""

import difflib
import math
import random
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from decimal import Context, Decimal
from functools import lru_cache
from itertools import product

from aqueue.model.sweep import HOW_MANY, MOST, Combination, Span, Sweep, SweepError
from aqueue.model.values import Scalar, Value, plain_text, stands_for

_MAX_TRIES = 20 * MOST
"""The number of draws in all: some combinations that are drawn were had already, or are excluded."""

EXACT = Context(prec=25)
"""In it exp and ln are rounded correctly, hence the same everywhere; those of `math` are up to the machine."""

_Pairs = tuple[tuple[bool, Scalar], ...]


def combinations(sweep: Sweep) -> list[Combination]:
    """Return the params of each run, in order.

    Without `samples` these are all combinations in the order of the axes, the last of which changes fastest, less
    what is excluded. With `samples` they are so many of them, no two the same, in the order in which they were
    drawn.

    Then the pairs of each of `include` are added to every combination in which they change no value of an axis;
    they may change what an earlier one added. One that can be added to none is a combination of its own, after all
    others, and nothing is added to it.

    Numbers are compared by their value, or as they are written where an axis has two of one value, such as 3.1 and
    3.10; `true` is not 1.

    Raises:
        SweepError: with what is wrong with the sweep and what to do; among others, it has no combination, or more
            than `MOST`.
    """
    _check(sweep)
    made = _grid(sweep) if sweep.samples is None else _samples(sweep, sweep.samples)
    made += _include(sweep, made)
    if not made:
        raise SweepError("exclude: no combination is left; exclude fewer of them")
    if len(made) > MOST:
        raise SweepError(
            f"include: with what it adds there are {len(made):,} combinations; the maximum is {MOST:,}"
        )
    return made


def number_at(span: Span, part: float) -> float:
    """Return the number that is this part, from 0 to 1, of the way from the least of a span to its largest."""
    if span.is_log:
        low, width = _logarithms(span.low, span.high)
        number = float(EXACT.exp(EXACT.fma(Decimal(part), width, low)))
    else:
        number = span.low * (1 - part) + span.high * part
    # Rounding is never to lead out of the span.
    return min(max(number, span.low), span.high)


def amount(count: int) -> str:
    """Return how many there are, in words."""
    # Python does not write out more than 4,300 digits, and nobody would read them.
    return f"{count:,}" if count < 10**12 else "very many"


@lru_cache
def _logarithms(low: float, high: float) -> tuple[Decimal, Decimal]:
    """Return the logarithm of the lower number, and the difference to that of the higher one."""
    least = EXACT.ln(Decimal(low))
    return least, EXACT.subtract(EXACT.ln(Decimal(high)), least)


def _check(sweep: Sweep) -> None:
    if empty := [name for name, axis in sweep.axes.items() if axis == ()]:
        raise SweepError(f"{empty[0]}: it has no values; write one at least")
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
    """Return a key by which values are compared; unlike in Python, True and 1 differ."""
    scalar = stands_for(value)
    return isinstance(scalar, bool), scalar


def _told_apart_by_text(sweep: Sweep) -> frozenset[str]:
    """Return the axes of which two values differ in nothing but their spelling."""
    return frozenset(
        name
        for name, axis in sweep.axes.items()
        if not isinstance(axis, Span) and len(set(map(_identity, axis))) < len(axis)
    )


def _pairs(combination: Combination, names: Iterable[str], by_text: Container[str]) -> _Pairs:
    values = [(name, combination[name]) for name in names]
    return tuple([(False, plain_text(value)) if name in by_text else _identity(value) for name, value in values])


def _exclusion(sweep: Sweep) -> Callable[[Combination], bool]:
    """Return a function that is True for a combination to leave out."""
    by_text = _told_apart_by_text(sweep)
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
            raise SweepError(f"{name}: it may be any number in between; say how many to take, {HOW_MANY}")
        values.append(axis)
    if (count := math.prod(map(len, values))) > MOST:
        hint = f"take fewer values, or pick some combinations {HOW_MANY}"
        raise SweepError(f"there are {amount(count)} combinations, and the maximum is {MOST:,}; {hint}")
    is_excluded = _exclusion(sweep)
    grid = (dict(zip(sweep.axes, chosen, strict=True)) for chosen in product(*values))
    return [made for made in grid if not is_excluded(made)]


def _samples(sweep: Sweep, count: int) -> list[Combination]:
    if not 1 <= count <= MOST:
        raise SweepError(f"samples: expected a number from 1 to {MOST:,}, got {amount(count)}")
    # Only of random() does Python promise that it stays the same for a seed, whatever the version:
    # https://docs.python.org/3/library/random.html#notes-on-reproducibility
    chance = random.Random(sweep.seed or 0).random  # noqa: S311 - nothing is kept secret by it
    discrete = [len(axis) for axis in sweep.axes.values() if not isinstance(axis, Span)]
    if len(discrete) == len(sweep.axes) and math.prod(discrete) <= MOST:
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
    """Yield combinations drawn axis by axis, where there are too many to make them all."""
    is_excluded = _exclusion(sweep)
    by_text = _told_apart_by_text(sweep)
    had = set()
    for _ in range(_MAX_TRIES):
        made: Combination = {}
        for name, axis in sweep.axes.items():
            part = chance()
            made[name] = number_at(axis, part) if isinstance(axis, Span) else axis[int(part * len(axis))]
        pairs = _pairs(made, made, by_text)
        if pairs in had or is_excluded(made):
            continue
        yield made
        had.add(pairs)
        if len(had) == count:
            return
    raise SweepError(
        f"samples: only {len(had):,} of {count:,} combinations were found; exclude less, or pick fewer"
    )


def _include(sweep: Sweep, originals: Sequence[Combination]) -> list[Combination]:
    """Add the entries of `include` to the originals that they fit, and return those that fit none."""
    alone = []
    by_text = _told_apart_by_text(sweep)
    # Which originals have which values, by the names of axes.
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
