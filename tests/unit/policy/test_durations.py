import pytest

from aqueue.policy.durations import Durations, Success


def some(*took: float, name: str = "train", group: str | None = None, queue: str = "lane") -> list[Success]:
    return [Success(name, group, queue, one) for one in took]


@pytest.mark.parametrize(
    ("successes", "usual"),
    [
        ([], None),
        (some(5), None),
        (some(1, 2, 9), 2),
        (some(1, 2) + some(*[9] * 30, name="other", group="sweep"), 1.5),
        # Only the last twenty count.
        (some(*[1] * 20, *[100] * 50), 1),
        # By group before by queue.
        (some(7, 8, name="train-2", group="sweep") + some(*[1] * 20, name="other"), 7.5),
        (some(3, name="train-2", group="sweep") + some(*[1] * 4, name="other"), 1),
        (some(*[1] * 4, name="other"), None),
        (some(*[1] * 9, name="other", queue="elsewhere"), None),
    ],
)
def test_the_usual_duration_is_that_of_the_runs_most_alike(successes: list[Success], usual: float | None) -> None:
    assert Durations(successes).usual("train", "sweep", "lane") == usual


def test_runs_without_a_group_have_none_in_common() -> None:
    assert Durations(some(1, 2, name="a", queue="a")).usual("b", None, "b") is None
