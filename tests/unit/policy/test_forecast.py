import math
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.policy.forecast import Going, GpuChoice, Room, Times, Waiting, forecast

ROOM = Room(queues={"one": 1, "two": 2, "none": 0}, jobs=2)
ANY = ("a", "b")


def going(id_: int, queue: str, seconds: float | None, *gpus: str) -> Going:
    return Going(id=id_, queue=queue, seconds=seconds, gpus=gpus)


def waiting(id_: int, queue: str, seconds: float | None = 10.0, gpus: GpuChoice | None = None) -> Waiting:
    return Waiting(id=id_, queue=queue, seconds=seconds, gpus=gpus)


@pytest.mark.parametrize(
    ("running", "line", "starts"),
    [
        ([], [waiting(1, "one"), waiting(2, "one"), waiting(3, "one")], {1: 0, 2: 10, 3: 20}),
        ([going(1, "two", 5)], [waiting(2, "two"), waiting(3, "two"), waiting(4, "two")], {2: 0, 3: 5, 4: 10}),
        # Queues that are not configured share the slots for jobs, and have one each.
        ([going(1, "x", 5), going(2, "y", 7)], [waiting(3, "x"), waiting(4, "z")], {3: 5, 4: 7}),
        ([going(1, "x", 5)], [waiting(2, "x"), waiting(3, "y")], {2: 5, 3: 5}),
        # What ends at an unknown time takes its slot with it.
        ([going(1, "one", None)], [waiting(2, "one"), waiting(3, "x")], {3: 0}),
        ([going(1, "two", None)], [waiting(2, "two", None), waiting(3, "two")], {2: 0}),
        ([], [waiting(1, "none")], {}),
        # More runs than a lowered limit allows.
        ([going(1, "one", 20), going(2, "one", 10)], [waiting(3, "one")], {3: 20}),
        (
            [going(1, "two", 10, "a"), going(2, "two", 20, "b")],
            [
                waiting(3, "x", gpus=GpuChoice(2, ANY)),
                waiting(4, "y", gpus=GpuChoice(1, ANY)),
                waiting(5, "z", gpus=GpuChoice(1, ())),
            ],
            {3: 20, 4: 30},
        ),
        ([going(1, "two", None, "a")], [waiting(2, "x", gpus=GpuChoice(1, ("a",)))], {}),
    ],
)
def test_each_run_takes_in_its_turn_what_is_free_first(
    running: list[Going], line: list[Waiting], starts: dict[int, float]
) -> None:
    found = forecast(running, line, ROOM)
    assert {run.id: found[run.id].start for run in line if run.id in found} == starts


QUEUES = st.sampled_from(["one", "two", "none", "x", "y", "z"])
SECONDS = st.none() | st.integers(1, 50).map(float)
GPUS = st.none() | st.builds(GpuChoice, st.integers(1, 2), st.sampled_from([ANY, ("a",), ("b", "c")]))
LINE = st.lists(st.tuples(QUEUES, SECONDS, GPUS), max_size=12)


def most_at_once(times: Sequence[Times]) -> int:
    return max((sum(one.start <= other.start < one.end for one in times) for other in times), default=0)


@given(LINE)
def test_no_limit_is_ever_exceeded(line: list[tuple[str, float | None, GpuChoice | None]]) -> None:
    runs = [waiting(id_, queue, seconds, gpus) for id_, (queue, seconds, gpus) in enumerate(line)]
    found = forecast([], runs, ROOM)
    for queue in {run.queue for run in runs}:
        times = [found[run.id] for run in runs if run.queue == queue and run.id in found]
        assert most_at_once(times) <= ROOM.queues.get(queue, 1)
    assert most_at_once([found[run.id] for run in runs if run.queue in "xyz" and run.id in found]) <= ROOM.jobs
    only_a = [run for run in runs if run.gpus == GpuChoice(1, ("a",)) and run.id in found]
    assert most_at_once([found[run.id] for run in only_a]) <= 1


@given(LINE)
def test_a_start_is_told_only_where_it_follows_from_known_ends(
    line: list[tuple[str, float | None, GpuChoice | None]],
) -> None:
    runs = [waiting(id_, queue, seconds, gpus) for id_, (queue, seconds, gpus) in enumerate(line)]
    found = forecast([], runs, ROOM)
    ends = {0.0, *(times.end for times in found.values())}
    assert all(math.isfinite(times.start) and times.start in ends for times in found.values())


@given(st.lists(st.integers(1, 50), max_size=12), st.integers(1, 3))
def test_a_single_queue_is_as_if_it_was_played(durations: list[int], slots: int) -> None:
    runs = [waiting(id_, "q", float(seconds)) for id_, seconds in enumerate(durations)]
    found = forecast([], runs, Room(queues={"q": slots}, jobs=1))
    starts, left, now = {}, Counter[int](), 0
    line = [*range(len(runs))]
    while line or left:
        while line and len(left) < slots:
            first = line.pop(0)
            starts[first], left[first] = float(now), durations[first]
        now += 1
        left = Counter({id_: seconds - 1 for id_, seconds in left.items() if seconds > 1})
    assert {id_: times.start for id_, times in found.items()} == starts
