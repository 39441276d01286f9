"""GPUs that are reserved for runs that wait, so that others do not starve them."""

from aqueue.policy.gpu_obstacles import Blocked
from tests.unit.policy.gpu_world import (
    GIB,
    a_board,
    a_card,
    a_lease,
    a_process,
    blocked,
    cards,
    given,
    needs,
    needs_these,
    reason,
)


def test_cards_are_set_aside_for_a_run_that_needs_more_than_are_free() -> None:
    machine = cards(0, 1, 2)
    board = a_board(*machine, leases=[a_lease(machine[1])])
    assert reason(board.place(1, needs(3))) == "waits for GPUs: GPU 1 is used by run 90"
    assert reason(board.place(2, needs())) == (
        "waits for GPUs: GPU 0 is reserved for run 1; GPU 1 is used by run 90; GPU 2 is reserved for run 1"
    )


def test_a_run_that_needs_other_cards_passes_one_for_which_cards_are_set_aside() -> None:
    machine = cards(0, 1, 2)
    board = a_board(*machine, leases=[a_lease(machine[1])])
    assert isinstance(board.place(1, needs_these(0, 1)), Blocked)
    assert given(board.place(2, needs())) == ["2"]


def test_nothing_is_set_aside_for_a_run_that_waits_for_somebody_else() -> None:
    busy = a_card(0, processes=(a_process(),))
    board = a_board(busy, a_card(1))
    found = blocked(board.place(1, needs(2)))
    assert found.is_vetoed
    assert given(board.place(2, needs())) == ["1"]


def test_no_more_is_set_aside_than_there_is_a_use_for() -> None:
    machine = [*cards(0, 1), a_card(2, error="does not answer")]
    board = a_board(*machine, leases=[a_lease(machine[0])])
    assert isinstance(board.place(1, needs(3)), Blocked)
    assert given(board.place(2, needs())) == ["1"]


def test_of_a_shared_card_only_a_slot_is_set_aside() -> None:
    zero, one = cards(0, 1)
    leases = [a_lease(one, run=90), a_lease(one, run=91)]
    board = a_board(zero, one, leases=leases, slots=2)
    assert isinstance(board.place(1, needs(2)), Blocked)
    assert given(board.place(2, needs())) == ["0"]
    assert isinstance(board.place(3, needs()), Blocked)


def test_a_run_that_waits_for_memory_that_ours_use_is_not_starved_by_those_that_need_less() -> None:
    zero = a_card(0, 14, processes=(a_process(run=90, gib=10),))
    board = a_board(zero, leases=[a_lease(zero, run=90, gib=10)], slots=2)
    words = reason(board.place(1, needs(gib=20)))
    assert words.startswith("waits for GPUs: GPU 0 has 14 GiB free of the 20 GiB needed")
    assert isinstance(board.place(2, needs(gib=5)), Blocked), "the memory was to be kept for run 1"


def test_a_run_that_waits_is_not_said_to_be_on_the_card_whose_memory_is_kept_for_it() -> None:
    zero = a_card(0, 14, processes=(a_process(run=90, gib=10),))
    board = a_board(zero, leases=[a_lease(zero, run=90, gib=10)], slots=3)
    assert isinstance(board.place(1, needs(gib=20)), Blocked)
    words = "waits for GPUs: GPU 0 is used by run 90 and reserved for run 1"
    assert reason(board.place(2, needs(gib=5))) == words


def test_a_card_that_is_too_small_for_a_run_is_not_one_for_which_it_waits() -> None:
    small = a_card(0, 4, total=8 * GIB, processes=(a_process(run=90, gib=4),))
    large = a_card(1, 14, processes=(a_process(run=91, gib=10),))
    leases = [a_lease(small, run=90, gib=4), a_lease(large, run=91, gib=10)]
    board = a_board(small, large, leases=leases, slots=2)
    assert isinstance(board.place(1, needs(gib=20)), Blocked)
    assert given(board.place(2, needs(gib=4))) == ["0"]
    assert isinstance(board.place(3, needs(gib=4)), Blocked), "the memory of GPU 1 was to be kept for run 1"


def test_nothing_is_set_aside_for_a_run_that_somebody_else_keeps_from_the_only_cards_that_are_large_enough() -> (
    None
):
    small, free, busy = a_card(0, 8, total=8 * GIB), a_card(1), a_card(2, processes=(a_process(),))
    board = a_board(small, free, busy, leases=[a_lease(small)])
    assert isinstance(board.place(1, needs(2, gib=20)), Blocked)
    assert given(board.place(2, needs())) == ["1"]


def test_memory_that_a_run_of_ours_may_give_back_before_it_ends_is_looked_at_again() -> None:
    zero = a_card(0, 14, processes=(a_process(run=90, gib=10),))
    assert blocked(a_board(zero, leases=[a_lease(zero)], slots=2).place(1, needs(gib=20))).is_vetoed
    assert not blocked(a_board(zero, leases=[a_lease(zero)]).place(1, needs(gib=20))).is_vetoed
