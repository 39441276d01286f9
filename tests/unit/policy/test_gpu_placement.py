from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from aqueue.model.config import Rules
from aqueue.model.gpu import Gpu, GpuId, GpuProcess, GpuReading, GpuRequest
from aqueue.policy.gpu_placement import Allocator, Blocked, Lease, Placed, with_doubts
from aqueue.policy.gpu_supply import known_gpus, lacks

NOW = 1_800_000_000.0
GIB = 1 << 30
NO_DRIVER = "the NVIDIA driver is not there"


def a_card(index: int = 0, gib: float | None = None, **changes: Any) -> Gpu:
    """A card of 24 GiB on which nothing is, with this much free."""
    free = None if gib is None else round(gib * GIB)
    plain: dict[str, Any] = {
        "key": f"GPU-{index}{index}{index}{index}",
        "index": index,
        "total": 24 * GIB,
        "free": 24 * GIB if free is None else free,
        "processes": (),
    }
    return Gpu(**plain | changes)


def a_process(pid: int = 77, gib: float | None = 4, **changes: Any) -> GpuProcess:
    return GpuProcess(pid=pid, memory=None if gib is None else round(gib * GIB), **changes)


def a_lease(card: Gpu, run: int = 90, gib: float | None = None, age: float = 3600.0, **changes: Any) -> Lease:
    """A slot that a run has had for an hour."""
    memory = None if gib is None else round(gib * GIB)
    lease = Lease(run=run, key=card.key, label=card.label, memory=memory, started_at=NOW - age)
    return msgspec.structs.replace(lease, **changes)


def a_board(
    *cards: Gpu,
    leases: Iterable[Lease] = (),
    freed_at: Mapping[str, float] | None = None,
    owns: Sequence[Sequence[GpuId]] = (),
    age: float = 0.0,
    took: float = 0.0,
    problem: str | None = None,
    **rules: Any,
) -> Allocator:
    is_without = problem == NO_DRIVER
    look = GpuReading(
        began_at=NOW - age - took, ended_at=NOW - age, gpus=cards, problem=problem, is_without_driver=is_without
    )
    return Allocator(look, leases, freed_at or {}, Rules(**rules), owns, NOW)


def cards(*indices: int) -> list[Gpu]:
    return [a_card(index) for index in indices]


def needs(count: int = 1, gib: float | None = None) -> GpuRequest:
    return GpuRequest(count, memory=None if gib is None else round(gib * GIB))


def needs_these(*ids: GpuId, gib: float | None = None) -> GpuRequest:
    return msgspec.structs.replace(needs(len(ids), gib), ids=ids)


def given(found: Placed | Blocked) -> list[str]:
    assert isinstance(found, Placed), found
    return [card.label for card in found.gpus]


def blocked(found: Placed | Blocked) -> Blocked:
    assert isinstance(found, Blocked), found
    return found


def reason(found: Placed | Blocked) -> str:
    return blocked(found).reason


def lack(found: Placed | Blocked) -> str:
    """Why there never are such cards; it is the reason, too, and what a later look may change."""
    assert reason(found) == blocked(found).lack
    assert blocked(found).is_vetoed
    assert not blocked(found).needs_look
    return blocked(found).lack


def asks_for_a_look(found: Placed | Blocked) -> bool:
    """Nothing but a fresh look is needed."""
    if not blocked(found).needs_look:
        return False
    assert reason(found) == "its GPUs are being looked at"
    assert not (blocked(found).lack or blocked(found).is_vetoed)
    return True


# Slots


def test_a_card_has_one_slot() -> None:
    board = a_board(*cards(0, 1))
    assert given(board.place(1, needs())) == ["0"]
    assert given(board.place(2, needs())) == ["1"]
    assert reason(board.place(3, needs())) == "waits for GPUs: GPU 0 has run 1 on it; GPU 1 has run 2 on it"


def test_a_card_has_as_many_slots_as_are_configured() -> None:
    board = a_board(*cards(0), slots=3)
    assert [given(board.place(run, needs())) for run in (1, 2, 3)] == [["0"]] * 3
    assert reason(board.place(4, needs())) == "waits for GPUs: GPU 0 has runs 1, 2, 3 on it"


def test_a_run_never_has_two_slots_of_one_card() -> None:
    assert lack(a_board(*cards(0), slots=3).place(1, needs(2))) == "asks for 2 GPUs, and there is 1"


def test_slots_that_runs_of_any_server_have_are_taken() -> None:
    zero, one = cards(0, 1)
    board = a_board(zero, one, leases=[a_lease(zero)])
    assert given(board.place(1, needs())) == ["1"]
    assert [lease.run for lease in board.leases_on(zero)] == [90]
    assert [lease.run for lease in board.leases_on(one)] == [1]


def test_a_run_that_waits_only_for_runs_of_ours_needs_no_other_look() -> None:
    (zero,) = cards(0)
    assert blocked(a_board(zero, leases=[a_lease(zero)]).place(1, needs())).is_vetoed is False


def test_a_slot_is_that_of_a_card_of_which_only_one_side_knows_the_uuid() -> None:
    declared = Gpu(key="0", index=0, is_declared=True)
    assert a_lease(a_card(0)).is_on(declared)
    assert a_lease(declared).is_on(a_card(0))
    assert not a_lease(a_card(0)).is_on(a_card(0, key="GPU-other"))
    assert not a_lease(declared).is_on(a_card(1))


def test_an_instance_is_a_card_of_its_own() -> None:
    instances = [a_card(0, key=f"MIG-{number}", instance=number) for number in (0, 1)]
    board = a_board(*instances, a_card(1))
    assert given(board.place(1, needs_these("0:1"))) == ["0:1"]
    assert reason(board.place(2, needs_these("0:1"))) == "waits for GPUs: GPU 0:1 has run 1 on it"
    assert reason(board.place(3, needs_these(0))) == "asks for GPU 0, and there is none"
    assert given(board.place(4, needs(2))) == ["0:0", "1"]


# Which are chosen


def test_with_memory_the_card_with_least_free_that_still_fits_is_used_first() -> None:
    machine = [a_card(0, 24), a_card(1, 8), a_card(2, 12), a_card(3, 11.9)]
    assert given(a_board(*machine).place(1, needs(gib=12))) == ["2"]
    assert given(a_board(*machine).place(1, needs(2, gib=10))) == ["2", "3"]


def test_with_memory_how_long_a_card_was_idle_does_not_matter() -> None:
    zero, one = a_card(0, 24), a_card(1, 12)
    board = a_board(zero, one, freed_at={one.key: NOW - 1})
    assert given(board.place(1, needs(gib=1))) == ["1"]


def test_what_runs_in_their_first_minute_asked_for_is_not_free_when_cards_are_chosen() -> None:
    zero, one = a_card(0, 24), a_card(1, 20)
    board = a_board(zero, one, leases=[a_lease(zero, gib=20, age=5)], slots=2)
    assert given(board.place(1, needs(gib=3))) == ["0"]


def test_without_memory_the_card_that_was_idle_for_longest_is_used_first() -> None:
    machine = cards(0, 1, 2)
    freed_at = {machine[0].key: NOW - 10, machine[1].key: NOW - 30, machine[2].key: NOW - 20}
    board = a_board(*machine, freed_at=freed_at)
    assert [given(board.place(run, needs())) for run in (1, 2, 3)] == [["1"], ["2"], ["0"]]


def test_a_card_that_was_never_used_was_idle_for_longest() -> None:
    zero, one = cards(0, 1)
    assert given(a_board(zero, one, freed_at={zero.key: NOW - 1e6}).place(1, needs())) == ["1"]


def test_a_card_on_which_nothing_is_comes_before_one_that_has_another_slot() -> None:
    zero, one = cards(0, 1)
    board = a_board(zero, one, leases=[a_lease(zero)], freed_at={one.key: NOW - 1}, slots=2)
    assert given(board.place(1, needs())) == ["1"]


def linked(index: int, *neighbours: int, far: Sequence[int] = ()) -> Gpu:
    distances = dict.fromkeys((a_card(other).key for other in neighbours), 0)
    return a_card(index, distances=distances | dict.fromkeys((a_card(other).key for other in far), 40))


def test_several_cards_are_neighbours_where_the_driver_tells() -> None:
    machine = [linked(0, 2, far=[1, 3]), linked(1, 3, far=[0, 2]), linked(2, 0, far=[1, 3]), linked(3, 1, far=[0])]
    assert given(a_board(*machine).place(1, needs(2))) == ["0", "2"]
    freed_at = {machine[0].key: NOW - 1, machine[2].key: NOW - 1}
    assert given(a_board(*machine, freed_at=freed_at).place(1, needs(2))) == ["1", "3"]


def test_neighbours_come_before_how_long_they_were_idle_and_how_much_is_free() -> None:
    machine = [linked(0, 1, far=[2]), linked(1, 0, far=[2]), linked(2, far=[0, 1])]
    board = a_board(*machine, freed_at={machine[0].key: NOW - 1, machine[1].key: NOW - 2})
    assert sorted(given(board.place(1, needs(2)))) == ["0", "1"]
    tight = [machine[0], machine[1], msgspec.structs.replace(machine[2], free=9 * GIB)]
    assert sorted(given(a_board(*tight).place(1, needs(2, gib=8)))) == ["0", "1"]


def test_a_neighbour_that_is_taken_is_no_neighbour() -> None:
    machine = [
        linked(0, 1, far=[2, 3]),
        linked(1, 0, far=[2, 3]),
        linked(2, far=[0, 1, 3]),
        linked(3, far=[0, 1, 2]),
    ]
    board = a_board(*machine, leases=[a_lease(machine[1])])
    assert given(board.place(1, needs(2))) == ["0", "2"]


def test_where_the_driver_does_not_tell_any_cards_will_do() -> None:
    assert given(a_board(*cards(0, 1, 2)).place(1, needs(2))) == ["0", "1"]


# Other people's work


def test_a_card_on_which_somebody_else_computes_is_passed_over() -> None:
    busy = a_card(0, processes=(a_process(77, 4, user="ann", name="python"),))
    assert given(a_board(busy, a_card(1)).place(1, needs())) == ["1"]
    found = blocked(a_board(busy).place(1, needs()))
    assert found.reason == "waits for GPUs: python (pid 77, ann) is on GPU 0 with 4 GiB"
    assert (found.is_vetoed, found.lack, found.needs_look) == (True, "", False)


def test_of_a_process_only_what_is_known_is_said() -> None:
    busy = a_card(0, processes=(a_process(77, None),))
    assert reason(a_board(busy).place(1, needs())) == "waits for GPUs: a process (pid 77) is on GPU 0"


def test_a_process_counts_however_little_it_does() -> None:
    busy = a_card(0, 24, processes=(a_process(77, 0),))
    assert reason(a_board(busy).place(1, needs())).startswith("waits for GPUs: a process (pid 77) is on GPU 0")


def test_memory_in_use_on_a_card_whose_processes_can_be_seen_is_nobodys_work() -> None:
    assert given(a_board(a_card(0, 10, doubts=5)).place(1, needs())) == ["0"]


def test_a_process_of_a_run_that_has_the_card_is_ours() -> None:
    shared = a_card(0, processes=(a_process(run=90),))
    assert given(a_board(shared, leases=[a_lease(shared, run=90)], slots=2).place(1, needs())) == ["0"]


def test_a_process_that_a_run_has_left_behind_is_not_ours_any_more() -> None:
    left = a_card(0, processes=(a_process(run=80, name="python"),))
    board = a_board(left, leases=[a_lease(left, run=90)], slots=2)
    words = "python (pid 77), of run 80, is on GPU 0 with 4 GiB"
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
    words = "GPU 0 has 20 GiB free of the 21 GiB it asks for; GPU 1 has fallen off the bus"
    board = a_board(busy, failed, share_with_others=True)
    assert reason(board.place(1, needs(gib=21))) == f"waits for GPUs: {words}"


def test_a_card_is_used_again_once_it_is_free_again() -> None:
    assert isinstance(a_board(a_card(0, processes=(a_process(),))).place(1, needs()), Blocked)
    assert given(a_board(a_card(0)).place(1, needs())) == ["0"]


def looked_at(times: int, *, leases: Sequence[Lease] = (), ignore: int = 500 << 20, **changes: Any) -> GpuReading:
    """What comes of as many looks in a row at a card whose processes cannot be seen."""
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
    assert found.reason == "waits for GPUs: on GPU 0 4 GiB are in use, and no run of ours accounts for that"
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


# Memory


def test_a_card_with_less_free_memory_than_is_asked_for_is_passed_over() -> None:
    assert given(a_board(a_card(0, 19.9), a_card(1, 20)).place(1, needs(gib=20))) == ["1"]
    found = blocked(a_board(a_card(0, 12)).place(1, needs(gib=20)))
    assert found.reason == "waits for GPUs: GPU 0 has 12 GiB free of the 20 GiB it asks for"
    assert found.is_vetoed


def test_memory_that_is_not_known_is_not_free() -> None:
    unknown = a_card(0, total=None, free=None)
    found = blocked(a_board(unknown).place(1, needs(gib=1)))
    assert found.reason == "waits for GPUs: how much memory is free on GPU 0 is not known"
    assert (found.is_vetoed, found.lack, found.needs_look) == (True, "", False)
    assert given(a_board(unknown).place(1, needs())) == ["0"]


def test_a_run_in_its_first_minute_counts_with_what_it_asked_for() -> None:
    (zero,) = cards(0)

    def free_beside(age: float, card: Gpu = zero) -> Placed | Blocked:
        board = a_board(card, leases=[a_lease(card, gib=10, age=age)], slots=2)
        return board.place(1, needs(gib=15))

    words = "GPU 0 has 14 GiB free of the 15 GiB it asks for, and has run 90 on it"
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
    words = "GPU 0 has 512 MiB free of the 1 GiB it asks for, and has runs 1, 2, 3 on it"
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
    assert (found.is_vetoed, found.lack, found.needs_look) == (True, "", False)


def test_what_somebody_can_do_something_about_is_named_first_and_not_all_of_many() -> None:
    machine = [*cards(0, 1, 2, 3), a_card(4, error="does not answer")]
    leases = [a_lease(card, run=90 + card.index) for card in machine[:4]]
    words = "GPU 4 does not answer; GPU 0 has run 90 on it; GPU 1 has run 91 on it; and 2 more"
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
        "waits for GPUs: GPU 0 is set aside for run 1; GPU 1 is set aside for run 1"
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


# More than there is


def test_a_run_that_wants_more_than_there_is_waits_and_says_so() -> None:
    board = a_board(*cards(0, 1, 2, 3))
    assert lack(board.place(1, needs(8))) == "asks for 8 GPUs, and there are 4"
    words = "asks for 1 GPU with 80 GiB, and none is so large: the largest has 24 GiB"
    assert lack(board.place(2, needs(gib=80))) == words
    assert lack(board.place(3, needs_these(1, 7))) == "asks for GPU 7, and there is none"
    assert given(board.place(4, needs(4))) == ["0", "1", "2", "3"], "nothing was set aside for them"


def test_what_is_lacking_is_lacking_whether_cards_are_free_or_not() -> None:
    busy = a_card(0, processes=(a_process(),), error="does not answer")
    assert reason(a_board(busy).place(1, needs(2))) == "asks for 2 GPUs, and there is 1"


def test_a_machine_without_cards_lacks_all() -> None:
    assert reason(a_board().place(1, needs())) == "asks for 1 GPU, and there is none"


def test_a_machine_without_a_driver_says_that() -> None:
    assert lack(a_board(problem=NO_DRIVER).place(1, needs())) == f"waits for GPUs: {NO_DRIVER}"


@pytest.mark.parametrize(
    ("demand", "why"),
    [
        (needs(), None),
        (needs(3), None),
        (needs(3, gib=8), None),
        (needs(2, gib=24), None),
        (needs(gib=80), None),
        (needs(4), "asks for 4 GPUs, and there are 3"),
        (needs(3, gib=24), "asks for 3 GPUs with 24 GiB, and 2 are so large: the largest has 80 GiB"),
        (needs(2, gib=80), "asks for 2 GPUs with 80 GiB, and 1 is so large: the largest has 80 GiB"),
        (needs(gib=81), "asks for 1 GPU with 81 GiB, and none is so large: the largest has 80 GiB"),
        (needs_these(3), "asks for GPU 3, and there is none"),
        (needs_these(0, "GPU-77", 9), "asks for GPU GPU-77, 9, and there is none"),
        (needs_these(0, "GPU-1111"), None),
        (needs_these("0:1"), "asks for GPU 0:1, and there is none"),
    ],
)
def test_cards_that_are_lacking_are_named(demand: GpuRequest, why: str | None) -> None:
    sizes = (8, 24, 80)
    machine = [a_card(index, size, total=size * GIB) for index, size in enumerate(sizes)]
    assert lacks(demand, machine) == why


def test_a_card_of_unknown_size_may_be_large_enough() -> None:
    assert lacks(needs(2, gib=80), [a_card(0, total=None, free=None), a_card(1, total=80 * GIB)]) is None


def test_a_card_that_is_only_declared_never_has_the_memory_that_is_asked_for() -> None:
    def board() -> Allocator:
        return a_board(problem=NO_DRIVER, devices=(0, 1))

    words = "asks for 1 GPU with 20 GiB, and without NVML it is not known how much memory a GPU has"
    assert lack(board().place(1, needs(gib=20))) == words
    assert "asks for GPU 1 with 20 GiB, and without NVML" in lack(board().place(1, needs_these(1, gib=20)))
    assert lack(board().place(1, needs(3, gib=20))) == "asks for 3 GPUs with 20 GiB, and there are 2"
    assert given(board().place(1, needs(2))) == ["0", "1"]


def test_the_largest_card_is_never_said_to_have_what_it_lacks() -> None:
    nearly = a_card(0, total=24564 << 20, free=24564 << 20)
    words = lacks(needs(gib=24), [nearly])
    assert words is not None
    assert words.count("24 GiB") == 1, words


def test_a_card_that_is_listed_must_be_large_enough_itself() -> None:
    small, large = a_card(0, 8, total=8 * GIB), a_card(1, 80, total=80 * GIB)
    words = "asks for GPU 0 with 20 GiB, and none is so large: the largest has 8 GiB"
    assert lack(a_board(small, large).place(1, needs_these(0, gib=20))) == words
    assert lacks(needs_these(0, gib=20), [small, large]) == words


def test_many_runs_on_a_card_are_not_all_named() -> None:
    (zero,) = cards(0)
    leases = [a_lease(zero, run=run) for run in (90, 91, 92, 93)]
    found = a_board(zero, leases=leases, slots=4).place(1, needs())
    assert reason(found) == "waits for GPUs: GPU 0 has runs 90, 91, 92 … on it"


# These very cards


def test_a_run_that_lists_cards_gets_these() -> None:
    board = a_board(*cards(0, 1, 2, 3))
    assert given(board.place(1, needs_these(3, "GPU-11"))) == ["3", "1"], "in the order in which it lists them"
    assert reason(board.place(2, needs_these(3))) == "waits for GPUs: GPU 3 has run 1 on it"
    assert given(board.place(3, needs(2))) == ["0", "2"]


def test_a_run_that_lists_cards_gets_one_for_each_id_even_where_an_id_may_mean_several() -> None:
    alike = [a_card(index, key=f"GPU-aa{index}") for index in (0, 1)]
    assert "2" in given(a_board(*alike, a_card(2)).place(1, needs_these("GPU-aa", 2)))
    found = given(a_board(*alike, a_card(2)).place(1, needs_these("GPU-aa", "GPU-aa0", 2)))
    assert sorted(found) == ["0", "1", "2"]


def test_a_card_that_is_listed_by_two_names_is_one_card() -> None:
    assert lack(a_board(*cards(0, 1)).place(1, needs_these(0, "GPU-0000")))


# Affinity


def test_a_queue_is_confined_to_its_cards() -> None:
    board = a_board(*cards(0, 1, 2))
    assert given(board.place(1, needs(), (2, 1))) == ["1"]
    assert given(board.place(2, needs(), (2, 1))) == ["2"]
    assert reason(board.place(3, needs(), (2, 1))) == (
        "waits for GPUs: GPU 1 has run 1 on it; GPU 2 has run 2 on it"
    )
    assert given(board.place(4, needs())) == ["0"]


def test_a_run_that_wants_more_than_its_queue_may_use_says_so() -> None:
    board = a_board(*cards(0, 1, 2))
    assert lack(board.place(1, needs(2), (1,))) == "asks for 2 GPUs, but its queue may use only 1"
    assert lack(board.place(2, needs_these(0), (1, 2))) == "asks for GPU 0, but its queue may use only 1, 2"
    assert lack(board.place(3, needs(), (9,))) == "asks for 1 GPU, but its queue may use only none"
    assert lack(board.place(4, needs(4), (1,))) == "asks for 4 GPUs, and there are 3"


def test_a_server_is_confined_to_its_cards() -> None:
    board = a_board(*cards(0, 1, 2, 3), owns=[(0, 1)])
    assert given(board.place(1, needs(2))) == ["0", "1"]
    assert lack(board.place(2, needs_these(2))) == "waits for a server that has GPU 2; this one has only 0, 1"
    assert lack(board.place(3, needs(3))) == "waits for a server that has 3 GPUs; this one has only 0, 1"
    assert lack(board.place(4, needs(5))) == "asks for 5 GPUs, and there are 4"


def test_a_server_has_only_what_its_option_and_its_environment_both_allow() -> None:
    board = a_board(*cards(0, 1, 2, 3), owns=[(0, 1), (1, 2)])
    assert [card.label for card in board.gpus] == ["1"]
    assert len(board.all_gpus) == 4


def test_a_server_from_which_all_gpus_are_hidden_has_none() -> None:
    board = a_board(*cards(0), owns=[()])
    assert reason(board.place(1, needs())) == "waits for a server that has 1 GPU; this one has none for it"


def test_a_server_may_have_the_cards_that_a_run_needs_but_not_those_of_its_queue() -> None:
    board = a_board(*cards(0, 1, 2), owns=[(1, 2)])
    assert lack(board.place(1, needs(2), (0, 1)))
    assert given(board.place(2, needs(2))) == ["1", "2"]


def test_slots_on_cards_of_other_servers_are_known_too() -> None:
    zero, one = cards(0, 1)
    board = a_board(zero, one, leases=[a_lease(one)], owns=[(0,)])
    assert [lease.run for lease in board.leases_on(one)] == [90]


# Fairness


def test_cards_are_set_aside_for_a_run_that_needs_more_than_are_free() -> None:
    machine = cards(0, 1, 2)
    board = a_board(*machine, leases=[a_lease(machine[1])])
    assert reason(board.place(1, needs(3))) == "waits for GPUs: GPU 1 has run 90 on it"
    assert reason(board.place(2, needs())) == (
        "waits for GPUs: GPU 0 is set aside for run 1; GPU 1 has run 90 on it; GPU 2 is set aside for run 1"
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
    assert words.startswith("waits for GPUs: GPU 0 has 14 GiB free of the 20 GiB it asks for")
    assert isinstance(board.place(2, needs(gib=5)), Blocked), "the memory was to be kept for run 1"


def test_a_run_that_waits_is_not_said_to_be_on_the_card_whose_memory_is_kept_for_it() -> None:
    zero = a_card(0, 14, processes=(a_process(run=90, gib=10),))
    board = a_board(zero, leases=[a_lease(zero, run=90, gib=10)], slots=3)
    assert isinstance(board.place(1, needs(gib=20)), Blocked)
    words = "waits for GPUs: GPU 0 has run 90 on it and is set aside for run 1"
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
    assert reason(board.place(3, needs())) == "waits for GPUs: GPU 0 has run 2 on it; GPU 1 has run 1 on it"
    assert reason(board.place(4, needs(3))) == "asks for 3 GPUs, and there are 2"


def test_a_slot_that_was_given_while_the_driver_was_there_is_taken_once_it_is_gone_and_the_reverse() -> None:
    known, declared = a_card(0), Gpu(key="0", index=0, is_declared=True)
    gone = a_board(problem=NO_DRIVER, devices=(0,), leases=[a_lease(known)])
    assert reason(gone.place(1, needs())) == "waits for GPUs: GPU 0 has run 90 on it"
    back = a_board(known, leases=[a_lease(declared)])
    assert reason(back.place(1, needs())) == "waits for GPUs: GPU 0 has run 90 on it"
