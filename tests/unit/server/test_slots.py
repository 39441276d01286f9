"""The tokens of what a server runs."""

from typing import Any

from aqueue.model.config import Queue, Rules
from aqueue.model.gpu import Allocation
from aqueue.model.run import Run
from aqueue.policy.limits import Limits
from aqueue.server.slots import Slots
from tests.unit.records import a_run

CARD = Allocation(key="GPU-0", label="0")


def limits(most: int = 1, jobs: int = 1, **changes: Any) -> Limits:
    return Limits(queues={"lane": Queue(name="lane", max_concurrency=most)}, jobs=jobs, **changes)


def slots(most: int = 1, jobs: int = 1, **changes: Any) -> Slots:
    made = Slots()
    made.resize(limits(most, jobs, **changes))
    return made


LANE = a_run(queue="lane")


async def test_a_queue_has_as_many_tokens_as_slots_and_each_is_taken_again_once_it_is_given_back() -> None:
    tokens = slots(2)
    assert [tokens.take(holder, LANE) for holder in "abc"] == ["", "", "queue lane"]
    tokens.give_back("c")
    tokens.give_back("a")
    tokens.give_back("a")
    assert [tokens.take(holder, LANE) for holder in "cd"] == ["", "queue lane"]


async def test_queues_that_nobody_configured_share_the_jobs() -> None:
    tokens = slots(jobs=2)
    refused = [tokens.take(name, a_run(queue=name)) for name in ("x", "y", "z", "x again")]
    assert refused == ["", "", "jobs", "jobs"]
    assert tokens.take("lane", LANE) == ""
    assert slots(jobs=2).take("x", a_run(queue="x")) == ""


async def test_a_queue_that_nobody_configured_has_one_slot() -> None:
    tokens = slots(jobs=5)
    assert [tokens.take(holder, a_run(queue="x")) for holder in "ab"] == ["", "queue x"]


async def test_a_gpu_has_the_tokens_that_the_rules_give_it_and_a_refusal_leaves_none_taken() -> None:
    tokens = slots(9, rules=Rules(slots=2))
    run = a_run(queue="lane", gpus=(CARD, Allocation(key="GPU-1", label="1")))
    assert [tokens.take(holder, run) for holder in "abc"] == ["", "", "GPU 0"]
    assert [tokens.take(holder, LANE) for holder in "cdefghi"] == [""] * 7
    assert tokens.take("j", LANE) == "queue lane"


async def test_what_goes_on_already_takes_its_tokens_however_many_there_are() -> None:
    tokens = slots()
    for holder in "abc":
        tokens.take_anyway(holder, a_run(queue="lane", gpus=(CARD,)))
    for holder in "ab":
        assert tokens.take("d", LANE) == "queue lane"
        tokens.give_back(holder)
    tokens.give_back("c")
    assert tokens.take("d", LANE) == ""


async def test_a_direct_run_waits_for_a_gpu_but_for_no_slot() -> None:
    tokens = slots()
    direct = a_run(queue="lane", gpus=(CARD,))
    assert tokens.take("a", LANE) == ""
    assert tokens.take("b", direct, is_direct=True) == ""
    assert tokens.take("c", direct, is_direct=True) == "GPU 0"
    tokens.give_back("b")
    assert tokens.take("b", direct, is_direct=True) == ""


async def test_limits_that_are_raised_or_lowered_count_from_the_next_token_on() -> None:
    tokens = slots(1)
    assert [tokens.take(holder, LANE) for holder in "ab"] == ["", "queue lane"]
    tokens.resize(limits(3))
    assert [tokens.take(holder, LANE) for holder in "bc"] == ["", ""]
    tokens.resize(limits(1))
    for holder in "ab":
        tokens.give_back(holder)
        assert tokens.take("d", LANE) == "queue lane"
    tokens.give_back("c")
    assert tokens.take("d", LANE) == ""


async def test_a_run_counts_among_the_jobs_only_while_nobody_configures_its_queue() -> None:
    def local(queue: str) -> Run:
        return a_run(queue=queue)

    tokens = slots()
    assert tokens.take("a", local("x")) == ""
    tokens.resize(Limits(queues={"x": Queue(name="x")}))
    assert tokens.take("b", local("y")) == ""
    tokens.resize(Limits(queues={"other": Queue(name="other")}))
    assert tokens.take("c", local("z")) == "jobs"
    tokens.give_back("a")
    assert tokens.take("c", local("z")) == "jobs"
    tokens.give_back("b")
    assert tokens.take("c", local("z")) == ""
