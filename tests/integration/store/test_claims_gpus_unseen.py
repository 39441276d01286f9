"""Claims where processes on GPUs cannot be seen, as in a container."""

import pytest

from aqueue.model.claim import GpuView
from aqueue.model.config import Rules
from tests.integration.store.gpu_machine import GIB, Container, labels


def test_where_processes_cannot_be_seen_memory_in_use_in_two_looks_in_a_row_is_somebody_elses(
    container: Container,
) -> None:
    container.change(0, free=14 * GIB)
    container.news()
    container.add(gpus=1)
    taken = container.news()
    assert (taken.runs, taken.is_vetoed) == ([], True)
    assert taken.reading is not None
    assert taken.reading.gpus[0].doubts == 2
    assert container.store.gpus.reading() == taken.reading
    assert container.take(view=GpuView(taken.reading)).runs == []
    container.change(0, free=24 * GIB)
    assert [labels(run) for run in container.news().runs] == [["0"]]


@pytest.mark.parametrize("memory", [None, 8 * GIB])
def test_where_processes_cannot_be_seen_a_run_that_waits_accounts_for_nothing(
    container: Container, memory: int | None
) -> None:
    container.change(0, free=16 * GIB)
    container.news()
    container.add(gpus=1, gpu_memory=memory)
    for _ in range(3):
        taken = container.news()
        assert taken.runs == []
    assert taken.reading is not None
    assert taken.reading.gpus[0].doubts == 4


def test_where_processes_cannot_be_seen_our_own_runs_account_for_what_they_asked_for(container: Container) -> None:
    container.add("a", gpus=1, gpu_memory=10 * GIB)
    slots = Rules(slots=2)
    container.news(rules=slots)
    container.change(0, free=14 * GIB)
    for _ in range(3):
        container.news(rules=slots)
    second = container.add("b", gpus=1, gpu_memory=2 * GIB)
    container.now += 60
    assert [run.id for run in container.news(rules=slots).runs] == [second.id]


def test_where_processes_cannot_be_seen_what_the_run_before_had_is_not_somebody_elses(
    container: Container,
) -> None:
    run = container.add("a", gpus=1, gpu_memory=10 * GIB)
    container.news()
    container.change(0, free=14 * GIB)
    container.news()
    container.end(run)
    container.change(0, free=24 * GIB)
    second = container.add("b", gpus=1)
    assert [taken.id for taken in container.news().runs] == [second.id]
