import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.model.gpu import Allocation, Gpu, GpuId, check_ids, owned, parse_ids, within
from aqueue.units import parse_size, spell_size

UUID = "GPU-5d0c2a41-77f3-4c1e-9a53-0f0a3c6e2b10"
MIG = "MIG-aa11bb22-77f3-4c1e-9a53-0f0a3c6e2b10"
GIB = 1 << 30


def a_card(index: int = 2, **changes: Any) -> Gpu:
    plain: dict[str, Any] = {"key": UUID, "index": index}
    return Gpu(**plain | changes)


WHOLE = a_card()
INSTANCE = a_card(0, key=MIG, instance=1)


# Which card is meant


@pytest.mark.parametrize("id_", [2, "2", UUID, "GPU-5d0c2a41", "GPU-5"])
def test_a_card_is_meant_by_its_index_and_by_the_beginning_of_its_uuid(id_: GpuId) -> None:
    assert WHOLE.is_referred_to_by(id_)


@pytest.mark.parametrize("id_", [0, 22, "22", "2:0", "GPU-", "GPU-6", UUID + "1", "MIG-5d0c2a41", "", "G"])
def test_a_card_is_not_meant_by_what_is_only_like_it(id_: GpuId) -> None:
    assert not WHOLE.is_referred_to_by(id_)


@pytest.mark.parametrize("id_", ["0:1", MIG, "MIG-aa11"])
def test_an_instance_is_meant_by_its_gpu_and_number_and_by_its_uuid(id_: GpuId) -> None:
    assert INSTANCE.is_referred_to_by(id_)


@pytest.mark.parametrize("id_", [0, "0", 1, "1", "0:0", "0:11", "1:1", "GPU-aa11", "MIG-"])
def test_an_instance_is_not_meant_by_the_index_of_its_gpu(id_: GpuId) -> None:
    assert not INSTANCE.is_referred_to_by(id_)


def test_a_card_that_was_only_declared_is_meant_by_its_index_alone() -> None:
    declared = a_card(1, key="1", is_declared=True)
    assert declared.is_referred_to_by(1)
    assert declared.is_referred_to_by("1")
    assert within([declared], [10, "10", "1:0", UUID]) == []


def test_those_that_any_of_the_ids_means_are_within_each_once_and_in_the_order_of_the_machine() -> None:
    cards = [a_card(index, key=f"GPU-{index}{index}") for index in range(4)]
    assert within(cards, [3, "GPU-11", 1, 9]) == [cards[1], cards[3]]
    assert within(cards, ["GPU-1", "GPU-2"]) == cards[1:3]
    assert within(cards, []) == []


# What a card says of itself


def test_a_card_is_called_by_its_index_and_an_instance_by_its_number_too() -> None:
    assert (WHOLE.label, INSTANCE.label) == ("2", "0:1")


def test_how_much_is_in_use_is_known_only_with_both_numbers() -> None:
    assert a_card(total=24 * GIB, free=20 * GIB).used == 4 * GIB
    assert a_card(total=24 * GIB).used is None
    assert a_card(free=20 * GIB).used is None


def test_a_run_remembers_a_card_by_its_key_and_label_and_whether_it_is_an_instance() -> None:
    assert WHOLE.allocation == Allocation(UUID, "2", False)
    assert INSTANCE.allocation == Allocation(MIG, "0:1", True)


# Lists of cards


@pytest.mark.parametrize(
    ("written", "ids"),
    [
        ([0, 2], (0, 2)),
        (["3", 1], (3, 1)),
        (["0:1", "0:12"], ("0:1", "0:12")),
        ([UUID, MIG], (UUID, MIG)),
        (["GPU-5d0c2a41"], ("GPU-5d0c2a41",)),
        (["MIG-GPU-5d0c2a41/3/0"], ("MIG-GPU-5d0c2a41/3/0",)),
        ([9999], (9999,)),
    ],
)
def test_cards_are_listed_by_indices_and_uuids(written: list[GpuId], ids: tuple[GpuId, ...]) -> None:
    assert check_ids(written) == ids


@pytest.mark.parametrize(
    "written",
    [
        [],
        [0, 0],
        [0, "0"],
        [1, "01"],
        ["0:1", "0:1"],
        [UUID, UUID],
        [-1],
        [10000],
        [True],
        ["-1"],
        [""],
        ["all"],
        ["GPU-"],
        ["gpu-5d0c2a41"],
        ["GPU-5d,1"],
        ["0:"],
        [":1"],
        ["0:1:2"],
        ["1 "],
        ["1\n"],
        ["²"],
        ["٣"],
    ],
)
def test_a_list_with_none_with_one_twice_or_with_anything_else_in_it_is_refused(written: list[GpuId]) -> None:
    with pytest.raises(ValueError):
        check_ids(written)


@pytest.mark.parametrize(
    ("written", "ids"),
    [
        ("0", (0,)),
        ("2,0", (2, 0)),
        (" 1 , 3 ", (1, 3)),
        (f"{UUID},GPU-77", (UUID, "GPU-77")),
        (f"0:1,{MIG}", ("0:1", MIG)),
        ("0,-1,2", (0,)),
        ("0,,2", (0,)),
        ("1,no,2", (1,)),
        ("-1", ()),
        ("", ()),
        ("NoDevFiles", ()),
        ("all", ()),
    ],
)
def test_of_a_list_in_a_variable_what_follows_the_first_that_is_no_card_does_not_count(
    written: str, ids: tuple[GpuId, ...]
) -> None:
    assert parse_ids(written) == ids


@given(st.text("0123456789:,- GPUMIGabc", max_size=30))
def test_any_list_in_a_variable_says_either_which_cards_or_none(written: str) -> None:
    for id_ in parse_ids(written):
        assert check_ids([id_]) == (id_,)


def test_a_server_owns_what_its_option_and_its_environment_both_allow() -> None:
    assert owned(None, {}) == ()
    assert owned((0, 1), {}) == ((0, 1),)
    assert owned(None, {"CUDA_VISIBLE_DEVICES": "2,3"}) == ((2, 3),)
    assert owned((0, 2), {"CUDA_VISIBLE_DEVICES": "2,3"}) == ((0, 2), (2, 3))


def test_a_server_from_which_all_cards_are_hidden_owns_none() -> None:
    assert owned(None, {"CUDA_VISIBLE_DEVICES": ""}) == ((),)


# Sizes


@pytest.mark.parametrize(
    ("written", "size"),
    [
        (0, 0),
        (1024, 1024),
        ("1024", 1024),
        ("1024B", 1024),
        ("20GiB", 20 << 30),
        ("20GB", 20 << 30),
        ("20G", 20 << 30),
        ("20g", 20 << 30),
        ("20 gib", 20 << 30),
        (" 500MiB ", 500 << 20),
        ("1.5M", 3 << 19),
        ("0.5k", 512),
        ("2TiB", 2 << 40),
    ],
)
def test_a_size_is_a_number_of_bytes_or_one_with_a_unit(written: str | int, size: int) -> None:
    assert parse_size(written) == size


@pytest.mark.parametrize(
    "written",
    ["", "G", "lots", "-1", -1, "-1GiB", True, False, "1e3", "20 Gi B", "20Gx", "1,5G", ".5G", "5.G", "2P", "٣G"],
)
def test_what_is_no_size_is_refused(written: str | int) -> None:
    with pytest.raises(ValueError):
        parse_size(written)


@pytest.mark.parametrize("written", ["9" * 400, "9" * 400 + "GiB", "9" * 307 + "GiB", 10**400])
def test_a_size_beyond_all_numbers_is_refused_as_any_other_that_is_none(written: str | int) -> None:
    with pytest.raises(ValueError):
        parse_size(written)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (500 << 20, "500 MiB"),
        (20 << 30, "20 GiB"),
        (3 << 29, "1.5 GiB"),
        (81559 << 20, "79.6 GiB"),
        (24564 << 20, "23.9 GiB"),
        ((1 << 30) - 1, "1023.9 MiB"),
        (2 << 40, "2048 GiB"),
    ],
)
def test_a_size_is_said_in_the_largest_unit_of_which_there_is_one(size: int, words: str) -> None:
    assert spell_size(size) == words


@given(st.integers(0, 1 << 45))
def test_a_size_is_never_said_to_be_more_than_it_is_nor_much_less(size: int) -> None:
    read = parse_size(spell_size(size).replace(" ", ""))
    assert 0 <= size - read <= size / 10


@given(st.integers(0, 1 << 45), st.integers(0, 1 << 45))
def test_of_two_sizes_the_larger_is_never_said_to_be_the_smaller(one: int, other: int) -> None:
    said = [parse_size(spell_size(size).replace(" ", "")) for size in sorted((one, other))]
    assert said == sorted(said)


@given(st.text(max_size=20) | st.text("0123456789.kKmMgGtTiIbB ", max_size=12) | st.integers())
def test_anything_is_either_a_size_or_refused(written: str | int) -> None:
    with contextlib.suppress(ValueError):
        assert parse_size(written) >= 0
