"""The GPUs that there are, and the words for those that are lacking."""

import pytest

from aqueue.model.config import Rules
from aqueue.model.gpu import Gpu, GpuReading, GpuRequest
from aqueue.policy.gpu_placement import Allocator
from aqueue.policy.gpu_supply import known_gpus, lacks
from tests.unit.policy.gpu_world import (
    GIB,
    NO_DRIVER,
    NOW,
    a_board,
    a_card,
    a_lease,
    a_process,
    cards,
    given,
    lack,
    needs,
    needs_these,
    reason,
)

# More than there is


def test_a_run_that_wants_more_than_there_is_waits_and_says_so() -> None:
    board = a_board(*cards(0, 1, 2, 3))
    assert lack(board.place(1, needs(8))) == "asks for 8 GPUs, but there are only 4"
    words = "asks for 1 GPU with 80 GiB, but the largest has 24 GiB"
    assert lack(board.place(2, needs(gib=80))) == words
    assert lack(board.place(3, needs_these(1, 7))) == "asks for GPU 7, but there is none"
    assert given(board.place(4, needs(4))) == ["0", "1", "2", "3"], "nothing was set aside for them"


def test_what_is_lacking_is_lacking_whether_cards_are_free_or_not() -> None:
    busy = a_card(0, processes=(a_process(),), error="does not answer")
    assert reason(a_board(busy).place(1, needs(2))) == "asks for 2 GPUs, but there is only 1"


def test_a_machine_without_cards_lacks_all() -> None:
    assert reason(a_board().place(1, needs())) == "asks for 1 GPU, but there is none"


def test_a_machine_without_a_driver_says_that() -> None:
    assert lack(a_board(problem=NO_DRIVER).place(1, needs())) == f"waits for GPUs: {NO_DRIVER}"


@pytest.mark.parametrize(
    ("gpu_request", "why"),
    [
        (needs(), None),
        (needs(3), None),
        (needs(3, gib=8), None),
        (needs(2, gib=24), None),
        (needs(gib=80), None),
        (needs(4), "asks for 4 GPUs, but there are only 3"),
        (needs(3, gib=24), "asks for 3 GPUs with 24 GiB, but only 2 are that large"),
        (needs(2, gib=80), "asks for 2 GPUs with 80 GiB, but only 1 is that large"),
        (needs(gib=81), "asks for 1 GPU with 81 GiB, but the largest has 80 GiB"),
        (needs_these(3), "asks for GPU 3, but there is none"),
        (needs_these(0, "GPU-77", 9), "asks for GPUs GPU-77 and 9, but there are none"),
        (needs_these(0, "GPU-1111"), None),
        (needs_these("0:1"), "asks for GPU 0:1, but there is none"),
    ],
)
def test_cards_that_are_lacking_are_named(gpu_request: GpuRequest, why: str | None) -> None:
    sizes = (8, 24, 80)
    machine = [a_card(index, size, total=size * GIB) for index, size in enumerate(sizes)]
    assert lacks(gpu_request, machine) == why


def test_a_card_of_unknown_size_may_be_large_enough() -> None:
    assert lacks(needs(2, gib=80), [a_card(0, total=None, free=None), a_card(1, total=80 * GIB)]) is None


def test_a_card_that_is_only_declared_never_has_the_memory_that_is_asked_for() -> None:
    def board() -> Allocator:
        return a_board(problem=NO_DRIVER, devices=(0, 1))

    words = "asks for 1 GPU with 20 GiB, but the size of a GPU is unknown without NVML"
    assert lack(board().place(1, needs(gib=20))) == words
    assert "asks for GPU 1 with 20 GiB, but the size of a GPU is unknown without NVML" in lack(
        board().place(1, needs_these(1, gib=20))
    )
    assert lack(board().place(1, needs(3, gib=20))) == "asks for 3 GPUs with 20 GiB, but there are only 2"
    assert given(board().place(1, needs(2))) == ["0", "1"]


def test_the_largest_card_is_never_said_to_have_what_it_lacks() -> None:
    nearly = a_card(0, total=24564 << 20, free=24564 << 20)
    words = lacks(needs(gib=24), [nearly])
    assert words is not None
    assert words.count("24 GiB") == 1, words


def test_a_card_that_is_listed_must_be_large_enough_itself() -> None:
    small, large = a_card(0, 8, total=8 * GIB), a_card(1, 80, total=80 * GIB)
    words = "asks for GPU 0 with 20 GiB, but the largest has 8 GiB"
    assert lack(a_board(small, large).place(1, needs_these(0, gib=20))) == words
    assert lacks(needs_these(0, gib=20), [small, large]) == words


def test_many_runs_on_a_card_are_not_all_named() -> None:
    (zero,) = cards(0)
    leases = [a_lease(zero, run=run) for run in (90, 91, 92, 93)]
    found = a_board(zero, leases=leases, slots=4).place(1, needs())
    assert reason(found) == "waits for GPUs: GPU 0 is used by runs 90, 91, 92 …"


# Which cards there are


def test_there_are_the_cards_that_were_found_or_of_them_those_that_were_declared() -> None:
    look = GpuReading(began_at=NOW, ended_at=NOW, gpus=tuple(cards(0, 1, 2)))
    assert known_gpus(look, Rules()) == cards(0, 1, 2)
    assert known_gpus(look, Rules(devices=(2, "GPU-0000", 9))) == cards(0, 2)
    assert known_gpus(None, Rules()) == []
    assert known_gpus(None, Rules(devices=(0,))) == []


def test_without_a_driver_there_are_the_cards_that_were_declared_by_index() -> None:
    look = GpuReading(began_at=NOW, ended_at=NOW, problem=NO_DRIVER, is_without_driver=True)
    assert known_gpus(look, Rules()) == []
    declared = [Gpu(key=str(index), index=index, is_declared=True) for index in (0, 3)]
    assert known_gpus(look, Rules(devices=(0, "GPU-77", 3))) == declared


def test_cards_that_are_declared_are_not_given_away_blindly_where_a_driver_is_there_but_fails() -> None:
    board = a_board(problem="the NVIDIA driver does not answer", devices=(0, 1))
    assert lack(board.place(1, needs())) == "waits for GPUs: the NVIDIA driver does not answer"


def test_declared_cards_are_given_however_old_the_look_is() -> None:
    board = a_board(problem=NO_DRIVER, age=600, devices=(0, 1), freed_at={"0": NOW - 1})
    assert given(board.place(1, needs())) == ["1"]
    assert given(board.place(2, needs())) == ["0"]
    assert reason(board.place(3, needs())) == "waits for GPUs: GPU 0 is used by run 2; GPU 1 is used by run 1"
    assert reason(board.place(4, needs(3))) == "asks for 3 GPUs, but there are only 2"


def test_a_slot_that_was_given_while_the_driver_was_there_is_taken_once_it_is_gone_and_the_reverse() -> None:
    known, declared = a_card(0), Gpu(key="0", index=0, is_declared=True)
    gone = a_board(problem=NO_DRIVER, devices=(0,), leases=[a_lease(known)])
    assert reason(gone.place(1, needs())) == "waits for GPUs: GPU 0 is used by run 90"
    back = a_board(known, leases=[a_lease(declared)])
    assert reason(back.place(1, needs())) == "waits for GPUs: GPU 0 is used by run 90"
