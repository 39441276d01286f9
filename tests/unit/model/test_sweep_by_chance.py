"""Random sweeps: the number and order of combinations, those left out and those added."""

import itertools
import math

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aqueue.formats.sweep_syntax import parse_axis
from aqueue.model.combinations import combinations, number_at
from aqueue.model.sweep import Axis, Span, Sweep
from aqueue.model.task import MAX_COMBINATIONS
from aqueue.model.values import Value

pytestmark = pytest.mark.at_length

NAMES = ("lr", "seed", "size")
plain: st.SearchStrategy[Value] = st.sampled_from([0, 1, 2, 0.5, "a", "b", "1", True, False, None])
seeds = st.integers(0, 2**40)

KINDS: st.SearchStrategy[Axis] = st.one_of(
    st.just(Span(-1.0, 1.0)), st.just(Span(1e-6, 10.0, is_log=True)), st.just((1, 2, 3)), st.just(("a",))
)
MANY: st.SearchStrategy[Axis] = st.one_of(st.just(Span(0.0, 1.0)), st.just(tuple(range(MAX_COMBINATIONS + 1))))


def same(one: Value, other: Value) -> bool:
    return one == other and isinstance(one, bool) is isinstance(other, bool)


def fits(made: dict[str, Value], pairs: dict[str, Value]) -> bool:
    return all(same(made[name], value) for name, value in pairs.items())


@st.composite
def grids(draw: st.DrawFn) -> Sweep:
    """A sweep of up to three axes of up to three values, with what is excluded from it and included in it."""
    names = draw(st.permutations(NAMES))[: draw(st.integers(1, 3))]
    distinct = st.lists(plain, min_size=1, max_size=3, unique_by=lambda value: (isinstance(value, bool), value))
    pairs = st.dictionaries(st.sampled_from(names), plain, min_size=1)
    more = st.dictionaries(st.sampled_from([*names, "x", "y"]), plain, min_size=1)
    return Sweep(
        axes={name: tuple(draw(distinct)) for name in names},
        exclude=tuple(draw(st.lists(pairs, max_size=3))),
        include=tuple(draw(st.lists(more, max_size=4))),
    )


@st.composite
def mixtures(draw: st.DrawFn) -> Sweep:
    """A sweep with axes of which there are more combinations than could be made."""
    axes: dict[str, Axis] = {name: draw(KINDS) for name in draw(st.permutations(NAMES))}
    axes["many"] = draw(MANY)
    return Sweep(axes=axes, samples=draw(st.integers(1, 20)), seed=draw(seeds))


def made_of(sweep: Sweep) -> list[dict[str, Value]]:
    """The combinations before anything is included, the plain way."""
    values = [axis for axis in sweep.axes.values() if isinstance(axis, tuple)]
    every = [dict(zip(sweep.axes, chosen, strict=True)) for chosen in itertools.product(*values)]
    return [made for made in every if not any(fits(made, pairs) for pairs in sweep.exclude)]


@given(grids())
def test_without_more_there_are_all_combinations_in_order(sweep: Sweep) -> None:
    axes = {name: axis for name, axis in sweep.axes.items() if isinstance(axis, tuple)}
    made = combinations(Sweep(axes=sweep.axes))
    assert len(made) == math.prod(map(len, axes.values()))
    places = [
        tuple(
            next(place for place, value in enumerate(axis) if same(value, one[name]))
            for name, axis in axes.items()
        )
        for one in made
    ]
    assert places == sorted(places)
    assert len(set(places)) == len(made)
    assert all(list(one) == list(sweep.axes) for one in made)


@given(grids())
def test_what_is_excluded_is_missing_and_all_else_is_there_in_order(sweep: Sweep) -> None:
    left = made_of(sweep)
    assume(left)
    assert combinations(msgspec.structs.replace(sweep, include=())) == left


@given(grids())
def test_includes_change_no_value_of_an_axis_and_are_all_there(sweep: Sweep) -> None:
    left = made_of(sweep)
    assume(left or sweep.include)
    made = combinations(sweep)
    assert [{name: one[name] for name in sweep.axes} for one in made[: len(left)]] == left
    alone = iter(made[len(left) :])
    for pairs in sweep.include:
        of_axes = {name: value for name, value in pairs.items() if name in sweep.axes}
        if not any(fits(original, of_axes) for original in left):
            assert next(alone) == pairs
    assert not list(alone)
    for one, original in zip(made, left, strict=False):
        added: dict[str, Value] = {}
        for pairs in sweep.include:
            if fits(original, {name: value for name, value in pairs.items() if name in sweep.axes}):
                added |= pairs
        assert {name: value for name, value in one.items() if name not in sweep.axes} == {
            name: value for name, value in added.items() if name not in sweep.axes
        }


@given(grids(), seeds, st.data())
def test_samples_of_a_grid_are_different_ones_of_it(sweep: Sweep, seed: int, data: st.DataObject) -> None:
    left = made_of(sweep)
    assume(left)
    count = data.draw(st.integers(1, len(left)))
    sampled = msgspec.structs.replace(sweep, include=(), samples=count, seed=seed)
    made = combinations(sampled)
    assert made == combinations(sampled)
    assert len(made) == count
    places = [next(place for place, other in enumerate(left) if fits(other, one)) for one in made]
    assert len(set(places)) == count
    fewer = combinations(msgspec.structs.replace(sampled, samples=max(count - 1, 1)))
    assert made[: len(fewer)] == fewer


@given(mixtures())
def test_samples_where_there_is_no_grid_are_within_the_axes_different_and_the_same_again(sweep: Sweep) -> None:
    made = combinations(sweep)
    assert made == combinations(sweep)
    assert len(made) == sweep.samples == len({tuple(one.values()) for one in made})
    for one in made:
        assert list(one) == list(sweep.axes)
        for name, axis in sweep.axes.items():
            value = one[name]
            if isinstance(axis, Span):
                assert isinstance(value, float)
                assert axis.low <= value <= axis.high
            else:
                assert value in axis


@given(mixtures(), st.sampled_from(NAMES))
def test_what_is_excluded_is_not_drawn(sweep: Sweep, name: str) -> None:
    axes = sweep.axes | {name: (1, 2, 3)}
    made = combinations(msgspec.structs.replace(sweep, axes=axes, exclude=({name: 1},)))
    assert all(one[name] in (2, 3) for one in made)


ends = st.integers(-50, 50)


@given(ends, ends, ends.filter(bool))
def test_a_range_of_integers_is_that_of_python(start: int, end: int, step: int) -> None:
    assume(range(start, end, step))
    assert parse_axis(f"range({start}, {end}, {step})") == tuple(range(start, end, step))


@given(ends, ends, ends.filter(bool), st.integers(1, 6))
def test_a_range_of_decimals_has_the_numbers_that_a_person_would_write(
    start: int, end: int, step: int, places: int
) -> None:
    assume(range(start, end, step))
    written = ", ".join(f"{number}e-{places}" for number in (start, end, step))
    values = parse_axis(f"range({written})")
    assert values == tuple(float(f"{number}e-{places}") for number in range(start, end, step))


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(0, 1, exclude_max=True),
    st.booleans(),
)
def test_nothing_is_outside_of_a_span(one: float, other: float, part: float, is_log: bool) -> None:
    low, high = sorted((abs(one), abs(other)) if is_log else (one, other))
    assume(low < high and (low > 0 or not is_log))
    assert low <= number_at(Span(low, high, is_log), part) <= high


# A list of one text such as "0..5" is refused: that is probably meant as a range.
@given(st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=5), min_size=2, unique=True))
def test_quoted_text_in_a_list_is_that_text(texts: list[str]) -> None:
    assume(not any(text.startswith(("range(", "choice(", "uniform(", "loguniform(")) for text in texts))
    quoted = ", ".join("'" + text.replace("'", "''") + "'" for text in texts)
    assert parse_axis(f"[{quoted}]") == parse_axis(f"choice({quoted})") == tuple(texts)
