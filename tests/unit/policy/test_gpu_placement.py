"""The GPUs that a run is given, and the order in which free ones are used."""

from collections.abc import Sequence

import msgspec

from aqueue.model.gpu import Gpu
from tests.unit.policy.gpu_world import (
    GIB,
    NOW,
    a_board,
    a_card,
    a_lease,
    blocked,
    cards,
    given,
    lack,
    needs,
    needs_these,
    reason,
)

# Slots


def test_a_card_has_one_slot() -> None:
    board = a_board(*cards(0, 1))
    assert given(board.place(1, needs())) == ["0"]
    assert given(board.place(2, needs())) == ["1"]
    assert reason(board.place(3, needs())) == "waits for GPUs: GPU 0 is used by run 1; GPU 1 is used by run 2"


def test_a_card_has_as_many_slots_as_are_configured() -> None:
    board = a_board(*cards(0), slots=3)
    assert [given(board.place(run, needs())) for run in (1, 2, 3)] == [["0"]] * 3
    assert reason(board.place(4, needs())) == "waits for GPUs: GPU 0 is used by runs 1, 2, 3"


def test_a_run_never_has_two_slots_of_one_card() -> None:
    assert lack(a_board(*cards(0), slots=3).place(1, needs(2))) == "asks for 2 GPUs, but there is only 1"


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
    assert reason(board.place(2, needs_these("0:1"))) == "waits for GPUs: GPU 0:1 is used by run 1"
    assert reason(board.place(3, needs_these(0))) == "asks for GPU 0, but there is none"
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


# These very cards


def test_a_run_that_lists_cards_gets_these() -> None:
    board = a_board(*cards(0, 1, 2, 3))
    assert given(board.place(1, needs_these(3, "GPU-11"))) == ["3", "1"], "in the order in which it lists them"
    assert reason(board.place(2, needs_these(3))) == "waits for GPUs: GPU 3 is used by run 1"
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
        "waits for GPUs: GPU 1 is used by run 1; GPU 2 is used by run 2"
    )
    assert given(board.place(4, needs())) == ["0"]


def test_a_run_that_wants_more_than_its_queue_may_use_says_so() -> None:
    board = a_board(*cards(0, 1, 2))
    assert lack(board.place(1, needs(2), (1,))) == "asks for 2 GPUs, but its queue may use only GPU 1"
    assert (
        lack(board.place(2, needs_these(0), (1, 2))) == "asks for GPU 0, but its queue may use only GPUs 1 and 2"
    )
    assert lack(board.place(3, needs(), (9,))) == "asks for 1 GPU, but its queue may use none"
    assert lack(board.place(4, needs(4), (1,))) == "asks for 4 GPUs, but there are only 3"


def test_a_server_is_confined_to_its_cards() -> None:
    board = a_board(*cards(0, 1, 2, 3), owns=[(0, 1)])
    assert given(board.place(1, needs(2))) == ["0", "1"]
    assert lack(board.place(2, needs_these(2))) == "waits for a server with GPU 2; this one has only GPUs 0 and 1"
    assert lack(board.place(3, needs(3))) == "waits for a server with 3 GPUs; this one has only GPUs 0 and 1"
    assert lack(board.place(4, needs(5))) == "asks for 5 GPUs, but there are only 4"


def test_a_server_has_only_what_its_option_and_its_environment_both_allow() -> None:
    board = a_board(*cards(0, 1, 2, 3), owns=[(0, 1), (1, 2)])
    assert [card.label for card in board.gpus] == ["1"]
    assert len(board.all_gpus) == 4


def test_a_server_from_which_all_gpus_are_hidden_has_none() -> None:
    board = a_board(*cards(0), owns=[()])
    assert reason(board.place(1, needs())) == "waits for a server with 1 GPU; this one has none"


def test_a_server_may_have_the_cards_that_a_run_needs_but_not_those_of_its_queue() -> None:
    board = a_board(*cards(0, 1, 2), owns=[(1, 2)])
    assert lack(board.place(1, needs(2), (0, 1)))
    assert given(board.place(2, needs(2))) == ["1", "2"]


def test_slots_on_cards_of_other_servers_are_known_too() -> None:
    zero, one = cards(0, 1)
    board = a_board(zero, one, leases=[a_lease(one)], owns=[(0,)])
    assert [lease.run for lease in board.leases_on(one)] == [90]
