"""GPUs that others use, and memory that nobody accounts for."""

from collections.abc import Sequence
from typing import Any

from aqueue.model.config import Rules
from aqueue.model.gpu import GpuReading
from aqueue.policy.gpu_leases import Lease
from aqueue.policy.gpu_obstacles import Blocked
from aqueue.policy.gpu_placement import Allocator, Placed, with_doubts
from tests.unit.policy.gpu_world import (
    NOW,
    a_board,
    a_card,
    a_lease,
    a_process,
    blocked,
    cards,
    given,
    needs,
    reason,
)


def test_a_card_on_which_somebody_else_computes_is_passed_over() -> None:
    busy = a_card(0, processes=(a_process(77, 4, user="ann", name="python"),))
    assert given(a_board(busy, a_card(1)).place(1, needs())) == ["1"]
    found = blocked(a_board(busy).place(1, needs()))
    assert found.reason == "waits for GPUs: GPU 0 is used by python (pid 77, ann) with 4 GiB"
    assert (found.is_vetoed, found.lack, found.needs_reading) == (True, "", False)


def test_of_a_process_only_what_is_known_is_said() -> None:
    busy = a_card(0, processes=(a_process(77, None),))
    assert reason(a_board(busy).place(1, needs())) == "waits for GPUs: GPU 0 is used by a process (pid 77)"


def test_a_process_counts_however_little_it_does() -> None:
    busy = a_card(0, 24, processes=(a_process(77, 0),))
    assert reason(a_board(busy).place(1, needs())).startswith(
        "waits for GPUs: GPU 0 is used by a process (pid 77)"
    )


def test_memory_in_use_on_a_card_whose_processes_can_be_seen_is_nobodys_work() -> None:
    assert given(a_board(a_card(0, 10, doubts=5)).place(1, needs())) == ["0"]


def test_a_process_of_a_run_that_has_the_card_is_ours() -> None:
    shared = a_card(0, processes=(a_process(run=90),))
    assert given(a_board(shared, leases=[a_lease(shared, run=90)], slots=2).place(1, needs())) == ["0"]


def test_a_process_that_a_run_has_left_behind_is_not_ours_any_more() -> None:
    left = a_card(0, processes=(a_process(run=80, name="python"),))
    board = a_board(left, leases=[a_lease(left, run=90)], slots=2)
    words = "GPU 0 is used by python (pid 77, run 80) with 4 GiB"
    assert reason(board.place(1, needs())) == f"waits for GPUs: {words}"


def test_a_process_of_a_run_on_a_card_that_is_not_its_own_is_in_the_way() -> None:
    zero, one = a_card(0, processes=(a_process(run=90),)), a_card(1)
    board = a_board(zero, one, leases=[a_lease(one, run=90)])
    assert "pid 77" in reason(board.place(1, needs()))


def test_where_cards_are_shared_with_others_their_processes_do_not_matter() -> None:
    busy = a_card(0, 20, processes=(a_process(),))
    hidden = a_card(1, 20, processes=None, doubts=9)
    board = a_board(busy, hidden, share_with_others=True)
    assert sorted(given(board.place(1, needs(2, gib=20)))) == ["0", "1"]


def test_where_cards_are_shared_with_others_memory_and_failures_still_matter() -> None:
    busy = a_card(0, 20, processes=(a_process(),))
    failed = a_card(1, error="has fallen off the bus")
    words = "GPU 0 has 20 GiB free of the 21 GiB needed; GPU 1 has fallen off the bus"
    board = a_board(busy, failed, share_with_others=True)
    assert reason(board.place(1, needs(gib=21))) == f"waits for GPUs: {words}"


def test_a_card_is_used_again_once_it_is_free_again() -> None:
    assert isinstance(a_board(a_card(0, processes=(a_process(),))).place(1, needs()), Blocked)
    assert given(a_board(a_card(0)).place(1, needs())) == ["0"]


def looked_at(times: int, *, leases: Sequence[Lease] = (), ignore: int = 500 << 20, **changes: Any) -> GpuReading:
    """Return the results of several readings in a row of a card whose processes cannot be seen."""
    last: GpuReading | None = None
    for number in range(times):
        look = GpuReading(
            began_at=NOW - times + number + 1,
            ended_at=NOW - times + number + 1,
            gpus=(a_card(0, **{"processes": None} | changes),),
        )
        last = with_doubts(look, last, Allocator(look, leases, {}, Rules(ignore_memory=ignore), (), NOW))
    assert last is not None
    return last


def placed_by(look: GpuReading, **rules: Any) -> Placed | Blocked:
    return Allocator(look, [], {}, Rules(**rules), (), NOW).place(1, needs())


def test_memory_in_use_that_nobody_accounts_for_in_two_looks_in_a_row_is_somebody_elses() -> None:
    look = looked_at(2, gib=20)
    assert look.gpus[0].doubts == 2
    found = blocked(placed_by(look))
    assert found.reason == "waits for GPUs: GPU 0 has 4 GiB in use that no run asked for"
    assert found.is_vetoed
    assert given(placed_by(look, share_with_others=True)) == ["0"]


def test_a_look_without_it_begins_anew() -> None:
    before = looked_at(3, gib=20)
    look = GpuReading(began_at=NOW, ended_at=NOW, gpus=(a_card(0, processes=None),))
    board = Allocator(look, [], {}, Rules(), (), NOW)
    assert with_doubts(look, before, board).gpus[0].doubts == 0


def test_memory_in_use_below_the_baseline_is_nobodys() -> None:
    assert looked_at(2, gib=23.6).gpus[0].doubts == 0
    assert looked_at(2, gib=23.4).gpus[0].doubts == 2
    assert looked_at(2, gib=23.4, ignore=1 << 30).gpus[0].doubts == 0


def test_memory_that_runs_of_ours_asked_for_is_theirs() -> None:
    (zero,) = cards(0)
    assert looked_at(2, gib=14, leases=[a_lease(zero, gib=10)]).gpus[0].doubts == 0
    assert looked_at(2, gib=13, leases=[a_lease(zero, gib=10)]).gpus[0].doubts == 2
    leases = [a_lease(zero, run=90, gib=6), a_lease(zero, run=91, gib=5)]
    assert looked_at(2, gib=13, leases=leases).gpus[0].doubts == 0


def test_a_run_that_did_not_say_how_much_it_needs_may_account_for_anything() -> None:
    (zero,) = cards(0)
    leases = [a_lease(zero, run=90), a_lease(zero, run=91, gib=1)]
    assert looked_at(2, gib=1, leases=leases).gpus[0].doubts == 0


def test_there_is_no_doubt_about_a_card_whose_processes_or_memory_are_known_or_unknown() -> None:
    assert looked_at(2, gib=10, processes=()).gpus[0].doubts == 0
    assert looked_at(2, free=None).gpus[0].doubts == 0


def test_there_is_no_doubt_about_memory_that_may_be_that_of_the_run_before() -> None:
    look = GpuReading(began_at=NOW - 1, ended_at=NOW - 1, gpus=(a_card(0, 10, processes=None),))
    for freed_at, doubts in ((NOW - 0.5, 0), (NOW - 1.5, 1)):
        board = Allocator(look, [], {look.gpus[0].key: freed_at}, Rules(), (), NOW)
        assert with_doubts(look, None, board).gpus[0].doubts == doubts


def test_doubts_about_one_card_are_not_about_another() -> None:
    before = GpuReading(
        began_at=NOW - 1,
        ended_at=NOW - 1,
        gpus=(a_card(0, 10, processes=None, doubts=3), a_card(1, processes=None)),
    )
    look = GpuReading(
        began_at=NOW, ended_at=NOW, gpus=(a_card(1, 10, processes=None), a_card(0, 10, processes=None))
    )
    after = with_doubts(look, before, Allocator(look, [], {}, Rules(), (), NOW))
    assert [card.doubts for card in after.gpus] == [1, 4]
    assert (after.began_at, after.problem) == (NOW, None)
