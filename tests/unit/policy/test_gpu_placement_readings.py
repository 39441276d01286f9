"""Memory, failures, and how old a reading may be."""

import pytest

from aqueue.model.config import Rules
from aqueue.model.gpu import Gpu
from aqueue.policy.gpu_obstacles import Blocked
from aqueue.policy.gpu_placement import Allocator, Placed
from tests.unit.policy.gpu_world import (
    NOW,
    a_board,
    a_card,
    a_lease,
    a_process,
    asks_for_a_look,
    blocked,
    cards,
    given,
    needs,
    reason,
)

# Memory


def test_a_card_with_less_free_memory_than_is_asked_for_is_passed_over() -> None:
    assert given(a_board(a_card(0, 19.9), a_card(1, 20)).place(1, needs(gib=20))) == ["1"]
    found = blocked(a_board(a_card(0, 12)).place(1, needs(gib=20)))
    assert found.reason == "waits for GPUs: GPU 0 has 12 GiB free of the 20 GiB needed"
    assert found.is_vetoed


def test_memory_that_is_not_known_is_not_free() -> None:
    unknown = a_card(0, total=None, free=None)
    found = blocked(a_board(unknown).place(1, needs(gib=1)))
    assert found.reason == "waits for GPUs: GPU 0 does not report its free memory"
    assert (found.is_vetoed, found.lack, found.needs_reading) == (True, "", False)
    assert given(a_board(unknown).place(1, needs())) == ["0"]


def test_a_run_in_its_first_minute_counts_with_what_it_asked_for() -> None:
    (zero,) = cards(0)

    def free_beside(age: float, card: Gpu = zero) -> Placed | Blocked:
        board = a_board(card, leases=[a_lease(card, gib=10, age=age)], slots=2)
        return board.place(1, needs(gib=15))

    words = "GPU 0 has 14 GiB free of the 15 GiB needed, and is used by run 90"
    assert reason(free_beside(59)) == f"waits for GPUs: {words}"
    assert given(free_beside(61)) == ["0"]
    # It has allocated 9 of its 10 GiB by now.
    seen = a_card(0, 16, processes=(a_process(run=90, gib=9),))
    assert given(free_beside(59, seen)) == ["0"]
    # More than it asked for is no gift to others.
    assert given(free_beside(59, a_card(0, 15, processes=(a_process(run=90, gib=12),)))) == ["0"]


def test_what_another_runs_process_has_is_not_counted_for_a_run_in_its_first_minute() -> None:
    zero = a_card(0, 20, processes=(a_process(run=91, gib=4),))
    leases = [a_lease(zero, run=90, gib=4, age=5), a_lease(zero, run=91, gib=4)]
    assert isinstance(a_board(zero, leases=leases, slots=3).place(1, needs(gib=16.1)), Blocked)
    assert given(a_board(zero, leases=leases, slots=3).place(1, needs(gib=16))) == ["0"]


def test_runs_that_are_given_a_card_together_share_its_memory() -> None:
    board = a_board(*cards(0), slots=4)
    assert [given(board.place(run, needs(gib=gib))) for run, gib in ((1, 10), (2, 10), (3, 3.5))] == [["0"]] * 3
    words = "GPU 0 has 512 MiB free of the 1 GiB needed, and is used by runs 1, 2, 3"
    assert reason(board.place(4, needs(gib=1))) == f"waits for GPUs: {words}"


def test_what_a_card_lacks_is_never_said_to_be_as_much_as_is_asked_for() -> None:
    words = reason(a_board(a_card(0, 19.98)).place(1, needs(gib=20)))
    assert words.count("20 GiB") == 1, words


# Failures, and looks that do not tell


def test_a_card_that_fails_is_passed_over_and_the_others_are_not() -> None:
    failed = a_card(0, error="has fallen off the bus")
    assert given(a_board(failed, a_card(1)).place(1, needs())) == ["1"]
    found = blocked(a_board(failed).place(1, needs()))
    assert found.reason == "waits for GPUs: GPU 0 has fallen off the bus"
    assert (found.is_vetoed, found.lack, found.needs_reading) == (True, "", False)


def test_what_somebody_can_do_something_about_is_named_first_and_not_all_of_many() -> None:
    machine = [*cards(0, 1, 2, 3), a_card(4, error="does not answer")]
    leases = [a_lease(card, run=90 + card.index) for card in machine[:4]]
    words = "GPU 4 does not answer; GPU 0 is used by run 90; GPU 1 is used by run 91; and 2 more"
    assert reason(a_board(*machine, leases=leases).place(1, needs())) == f"waits for GPUs: {words}"


def test_without_a_look_nothing_is_given_and_nothing_is_said_yet() -> None:
    board = Allocator(None, [], {}, Rules(), (), NOW)
    assert asks_for_a_look(board.place(1, needs()))
    assert board.gpus == []


@pytest.mark.parametrize("age", [2.1, 600.0, -2.1])
def test_by_an_old_look_nothing_is_given_but_what_it_vetoes_is_said(age: float) -> None:
    assert asks_for_a_look(a_board(*cards(0), age=age).place(1, needs()))
    busy = a_card(0, processes=(a_process(),))
    assert "pid 77" in reason(a_board(busy, age=age).place(1, needs()))


@pytest.mark.parametrize("age", [0.0, 2.0, -2.0])
def test_a_look_is_fresh_for_two_seconds(age: float) -> None:
    assert given(a_board(*cards(0), age=age).place(1, needs())) == ["0"]


def test_a_look_that_took_long_is_fresh_once_it_is_there_but_shows_cards_as_they_were_when_it_began() -> None:
    (zero,) = cards(0)
    assert given(a_board(zero, took=20).place(1, needs())) == ["0"]
    assert asks_for_a_look(a_board(zero, took=20, freed_at={zero.key: NOW - 10}).place(1, needs()))


def test_until_there_is_a_fresh_look_the_cards_are_kept_for_the_first_in_line() -> None:
    board = a_board(*cards(0, 1), age=10)
    assert asks_for_a_look(board.place(1, needs(2)))
    assert reason(board.place(2, needs())) == (
        "waits for GPUs: GPU 0 is reserved for run 1; GPU 1 is reserved for run 1"
    )


def test_a_card_is_not_given_by_a_look_from_before_it_was_given_back() -> None:
    zero, one = cards(0, 1)
    assert asks_for_a_look(a_board(zero, age=1, freed_at={zero.key: NOW - 0.5}).place(1, needs()))
    assert given(a_board(zero, age=1, freed_at={zero.key: NOW - 1}).place(1, needs())) == ["0"]
    board = a_board(zero, one, age=1, freed_at={zero.key: NOW - 0.5})
    assert given(board.place(1, needs())) == ["1"]


def test_what_was_seen_of_a_card_before_it_was_given_back_is_not_held_against_it() -> None:
    zero = a_card(0, 1, processes=(a_process(run=80),))
    assert asks_for_a_look(a_board(zero, age=1, freed_at={zero.key: NOW - 0.5}).place(1, needs(gib=20)))


def test_a_card_that_was_given_back_in_the_future_says_only_that_the_clock_was_put_back() -> None:
    (zero,) = cards(0)
    assert given(a_board(zero, freed_at={zero.key: NOW + 3600}).place(1, needs())) == ["0"]
