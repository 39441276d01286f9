import pytest

from aqueue.model.combinations import combinations, number_at
from aqueue.model.sweep import Axis, Span, Sweep
from aqueue.model.task import MAX_COMBINATIONS
from aqueue.model.values import Value

PICKED = [{"lr": 0.1, "seed": 4}, {"lr": 0.1, "seed": 3}, {"lr": 0.001, "seed": 1}, {"lr": 0.1, "seed": 1}]
DRAWN = [{"x": 8445, "y": "b"}, {"x": 4206, "y": "a"}, {"x": 5113, "y": "a"}]
FROM_SPANS = [
    {"lr": 0.003611662782147248, "dropout": -0.9624838671659997, "layers": 2},
    {"lr": 7.813452073384144e-05, "dropout": 0.1047068212460186, "layers": 4},
    {"lr": 0.037044033717022654, "dropout": -0.8695917510558757, "layers": 2},
]
TOO_MANY = "and the maximum is 10,000; take fewer values, or pick some combinations with samples: 20"
LR: dict[str, Axis] = {"lr": (0.1, 0.01), "seed": (1, 2)}


def problem_in(sweep: Sweep) -> str:
    with pytest.raises(ValueError) as caught:
        combinations(sweep)
    return str(caught.value)


def test_the_last_axis_changes_fastest() -> None:
    assert combinations(Sweep(axes=LR)) == [
        {"lr": 0.1, "seed": 1},
        {"lr": 0.1, "seed": 2},
        {"lr": 0.01, "seed": 1},
        {"lr": 0.01, "seed": 2},
    ]
    assert [list(made) for made in combinations(Sweep(axes=LR))] == [["lr", "seed"]] * 4


def test_what_fits_all_pairs_of_an_exclude_is_left_out() -> None:
    exclude: tuple[dict[str, Value], ...] = ({"lr": 0.01}, {"lr": 0.1, "seed": 2}, {"lr": 0.3})
    assert combinations(Sweep(axes=LR, exclude=exclude)) == [{"lr": 0.1, "seed": 1}]


def test_numbers_are_compared_by_value_and_true_is_not_one() -> None:
    axes: dict[str, Axis] = {"x": (1, True, 0, False, "1")}
    left = combinations(Sweep(axes=axes, exclude=({"x": 1.0}, {"x": False})))
    assert [made["x"] for made in left] == [True, 0, "1"]
    assert combinations(Sweep(axes={"x": (1,)}, include=({"x": True, "y": 2},))) == [{"x": 1}, {"x": True, "y": 2}]
    # What is written first stays as it is written.
    assert repr(combinations(Sweep(axes={"x": (1,)}, include=({"x": 1.0, "y": 2},)))) == "[{'x': 1, 'y': 2}]"


def test_include_does_what_the_example_of_github_says() -> None:
    # https://docs.github.com/en/actions/writing-workflows/choosing-what-your-workflow-does/
    # running-variations-of-jobs-in-a-workflow#expanding-or-adding-matrix-configurations
    sweep = Sweep(
        axes={"fruit": ("apple", "pear"), "animal": ("cat", "dog")},
        include=(
            {"color": "green"},
            {"color": "pink", "animal": "cat"},
            {"fruit": "apple", "shape": "circle"},
            {"fruit": "banana"},
            {"fruit": "banana", "animal": "cat"},
        ),
    )
    assert combinations(sweep) == [
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]


def test_include_can_bring_back_what_was_excluded() -> None:
    sweep = Sweep(axes=LR, exclude=({"lr": 0.01},), include=({"lr": 0.01, "seed": 2}, {"lr": 0.1, "seed": 1}))
    assert combinations(sweep) == [{"lr": 0.1, "seed": 1}, {"lr": 0.1, "seed": 2}, {"lr": 0.01, "seed": 2}]


def test_there_may_be_nothing_but_what_is_included() -> None:
    include: tuple[dict[str, Value], ...] = ({"a": 1}, {"b": 2}, {"a": 1})
    assert combinations(Sweep(axes={}, include=include)) == list(include)
    assert combinations(Sweep(axes={"a": (1,)}, exclude=({"a": 1},), include=({"b": 2},))) == [{"b": 2}]


def test_the_sweep_itself_is_left_as_it_is() -> None:
    include: tuple[dict[str, Value], ...] = ({"a": 2}, {"b": 3})
    made = combinations(Sweep(axes={"a": (1,)}, include=include))
    made[1]["c"] = 4
    assert include == ({"a": 2}, {"b": 3})


@pytest.mark.parametrize(
    ("sweep", "problem"),
    [
        (
            Sweep(axes={}),
            "there is nothing to combine; write params with their values, such as lr: [0.1, 0.01]",
        ),
        (
            Sweep(axes={}, include=({"a": 1},), samples=1),
            "there is nothing to combine; write params with their values, such as lr: [0.1, 0.01]",
        ),
        (Sweep(axes={"a": ()}), "a: it has no values; write at least one"),
        (
            Sweep(axes={"a": Span(0, 1)}),
            "a: it is a continuous range; say how many samples to take, with samples: 20",
        ),
        (
            Sweep(axes={"a": tuple(range(MAX_COMBINATIONS + 1))}),
            f"there are 10,001 combinations, {TOO_MANY}",
        ),
        (
            # As many as nobody could count one by one, or write the number of.
            Sweep(axes=dict.fromkeys((f"a{number}" for number in range(2000)), tuple(range(MAX_COMBINATIONS)))),
            f"there are very many combinations, {TOO_MANY}",
        ),
        (
            Sweep(axes={"a": tuple(range(MAX_COMBINATIONS))}, include=({"a": -1},)),
            "include: with what it adds there are 10,001 combinations; the maximum is 10,000",
        ),
        (
            Sweep(axes=LR, exclude=({"lr": 0.1}, {"lr": 0.01})),
            "exclude: no combination is left; exclude fewer",
        ),
        (
            Sweep(axes=LR, exclude=({"lr": 0.1}, {"sed": 1})),
            "exclude: no param of the matrix is called 'sed'; did you mean 'seed'?",
        ),
        (
            Sweep(axes=LR, exclude=({"optimizer": "sgd"},)),
            "exclude: no param of the matrix is called 'optimizer'; there are: lr, seed",
        ),
        (Sweep(axes=LR, exclude=({},)), "an entry of exclude or include is empty; write keys and values"),
        (Sweep(axes=LR, include=({},)), "an entry of exclude or include is empty; write keys and values"),
        (Sweep(axes=LR, samples=0), "samples: expected a number from 1 to 10,000, got 0"),
        (Sweep(axes=LR, samples=MAX_COMBINATIONS + 1), "samples: expected a number from 1 to 10,000, got 10,001"),
        (Sweep(axes=LR, samples=5), "samples: there are only 4 combinations to pick 5 from; pick fewer"),
        (
            Sweep(axes=LR, samples=4, exclude=({"lr": 0.1, "seed": 1},)),
            "samples: there are only 3 combinations to pick 4 from; pick fewer",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_combined_is_refused_with_what_to_do(sweep: Sweep, problem: str) -> None:
    assert problem_in(sweep) == problem


def test_the_most_combinations_are_possible_and_are_counted_before_any_is_excluded() -> None:
    assert len(combinations(Sweep(axes={"a": tuple(range(100)), "b": tuple(range(100))}))) == MAX_COMBINATIONS
    too_many: dict[str, Axis] = {"a": tuple(range(MAX_COMBINATIONS + 1))}
    assert problem_in(Sweep(axes=too_many, exclude=({"a": 0},))).startswith("there are 10,001 combinations")


# These are to be the same for ever: somebody may want to make runs again that a seed made.
def test_a_seed_picks_the_same_combinations_on_every_machine_and_version() -> None:
    axes: dict[str, Axis] = {"lr": (0.1, 0.01, 0.001), "seed": tuple(range(1, 5))}
    assert combinations(Sweep(axes=axes, samples=4, seed=7)) == PICKED
    assert combinations(Sweep(axes={"x": tuple(range(MAX_COMBINATIONS + 1)), "y": ("a", "b")}, samples=3)) == DRAWN
    spans: dict[str, Axis] = {"lr": Span(1e-5, 0.1, is_log=True), "dropout": Span(-1, 0.5), "layers": (2, 4)}
    assert combinations(Sweep(axes=spans, samples=3, seed=42)) == FROM_SPANS


def test_a_larger_number_of_samples_begins_with_those_of_a_smaller_one() -> None:
    spans: dict[str, Axis] = {"lr": Span(0, 1)}
    for axes in (LR, spans):
        sampled = [combinations(Sweep(axes=axes, samples=count, seed=3)) for count in (1, 2, 4)]
        assert sampled[2][:1] == sampled[0]
        assert sampled[2][:2] == sampled[1]


def test_seeds_differ_in_what_they_pick() -> None:
    sampled = [combinations(Sweep(axes={"x": Span(0, 1)}, samples=1, seed=seed)) for seed in range(5)]
    assert len({made["x"] for (made,) in sampled}) == 5


def test_all_combinations_can_be_picked() -> None:
    made = combinations(Sweep(axes=LR, samples=4, seed=1))
    assert made != combinations(Sweep(axes=LR))
    assert sorted(map(str, made)) == sorted(map(str, combinations(Sweep(axes=LR))))


def test_where_there_are_too_many_to_make_them_all_no_two_samples_are_the_same_either() -> None:
    made = combinations(
        Sweep(axes={"x": tuple(range(MAX_COMBINATIONS + 1))}, samples=MAX_COMBINATIONS, exclude=({"x": 5},))
    )
    assert {combination["x"] for combination in made} == set(range(MAX_COMBINATIONS + 1)) - {5}


@pytest.mark.at_length
def test_samples_that_are_not_to_be_found_are_refused() -> None:
    too_many: dict[str, Axis] = {"x": tuple(range(MAX_COMBINATIONS)), "y": (1, 2)}
    exclude: tuple[dict[str, Value], ...] = tuple({"x": x} for x in range(3, MAX_COMBINATIONS))
    assert len(combinations(Sweep(axes=too_many, samples=6, exclude=exclude))) == 6
    assert problem_in(Sweep(axes=too_many, samples=7, exclude=exclude)) == (
        "samples: only 6 of 7 combinations were found; exclude less, or pick fewer"
    )


def test_what_is_included_is_added_to_samples() -> None:
    sweep = Sweep(axes=LR, samples=2, include=({"gpu": True}, {"lr": 5}))
    assert combinations(sweep) == [
        *({**made, "gpu": True} for made in combinations(Sweep(axes=LR, samples=2))),
        {"lr": 5},
    ]


def test_each_order_of_magnitude_is_as_likely_as_any_other_if_it_is_by_logarithms() -> None:
    axes: dict[str, Axis] = {"log": Span(1e-4, 1, is_log=True), "even": Span(0, 1)}
    made = combinations(Sweep(axes=axes, samples=1000))
    assert 400 < sum(float(str(one["log"])) < 1e-2 for one in made) < 600
    assert sum(float(str(one["even"])) < 1e-2 for one in made) < 30


def test_a_span_is_kept_to() -> None:
    for span in (
        Span(0.1, 0.3),
        Span(0.1, 0.3, is_log=True),
        Span(-1.7e308, 1.7e308),
        Span(5e-324, 1.7e308, True),
    ):
        assert number_at(span, 0.0) == span.low
        assert span.low < number_at(span, 0.5) < span.high
        assert span.low < number_at(span, 1 - 2**-53) <= span.high
