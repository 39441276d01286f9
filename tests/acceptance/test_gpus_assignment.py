"""The cards that runs get, for how long, and what their commands are told of them."""

import json

import pytest

from tests.acceptance.driving import Place
from tests.acceptance.gpu_company import TOLD, card, cards_of, let_end, probes, runs, seen, told, waits
from tests.nvml.fake import FakeCards


def test_a_command_is_told_the_indices_of_its_cards(place: Place) -> None:
    cards_of(place, *FakeCards.cards(4))
    place.task("one", TOLD, "gpus: 1")
    place.task("list", TOLD, "gpus: [3, 1]")
    place.drain("-j", "4")
    assert told(place, "one") == ["PCI_BUS_ID", "0", "0", "0"]
    assert told(place, "list") == ["PCI_BUS_ID", "3,1", "3,1", "3,1"]


def test_indices_are_those_of_the_order_of_buses_and_uuids_those_of_the_cards(place: Place) -> None:
    cards_of(place, card(0, bus="0000:41:00.0"), card(1, bus="0000:01:00.0"), card(2, bus="0000:21:00.0"))
    place.drop("aqueue.yaml", "gpus: {ids: uuid}\n")
    place.task("a", TOLD, "gpus: [0, 1]")
    place.task("b", TOLD, "gpus: [GPU-0000]")
    place.drain("-j", "4")
    assert told(place, "a") == ["PCI_BUS_ID", *["GPU-11111111,GPU-22222222"] * 3]
    assert told(place, "b") == ["PCI_BUS_ID", *["GPU-00000000"] * 3]
    assert {name: row["gpus"] for name, row in place.rows().items()} == {"a": [0, 1], "b": [2]}
    assert [one["uuid"] for one in seen(place)["gpus"]] == ["GPU-11111111", "GPU-22222222", "GPU-00000000"]


def test_zero_hides_all_and_no_key_leaves_the_variables_alone(place: Place) -> None:
    cards_of(place, *FakeCards.cards(1))
    show = "env | grep -E 'CUDA|NVIDIA_V|AQUEUE_GPUS' | sort"
    place.task("zero", show, "gpus: 0")
    place.task("unsaid", show)
    place.task("own", show, "env: {CUDA_VISIBLE_DEVICES: '7', CUDA_DEVICE_ORDER: FASTEST_FIRST}")
    server = place.serve("-j", "4", "--drain", env={"CUDA_VISIBLE_DEVICES": "0", "AQUEUE_GPUS": "5"}, wait=False)
    assert server.ends() == 0
    rows = place.rows()
    assert place.output(rows["zero"]).split() == [
        "AQUEUE_GPUS=",
        "CUDA_DEVICE_ORDER=PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES=",
        "NVIDIA_VISIBLE_DEVICES=",
    ]
    assert place.output(rows["unsaid"]).split() == ["CUDA_VISIBLE_DEVICES=0"]
    assert place.output(rows["own"]).split() == ["CUDA_DEVICE_ORDER=FASTEST_FIRST", "CUDA_VISIBLE_DEVICES=7"]


def test_instances_are_cards_of_their_own_and_their_gpu_is_none(place: Place) -> None:
    lines = [f"mig 0 {number} uuid=MIG-{number} total=10240 used=0 name=MIG" for number in (0, 1)]
    cards_of(place, *FakeCards.cards(2), *lines)
    place.task("two", TOLD, "gpus: ['0:1', '0:0']")
    place.task("whole", TOLD, "gpus: [1]")
    place.task("large", TOLD, "gpu_memory: 20GiB")
    place.drain("-j", "4")
    assert sorted(told(place, "two")[1].split(",")) == ["MIG-0", "MIG-1"]
    assert told(place, "whole")[1:] == ["1"] * 3
    assert told(place, "large")[1:] == ["1"] * 3
    assert [(one["index"], one["instance"], one["uuid"]) for one in seen(place)["gpus"]] == [
        (0, 0, "MIG-0"),
        (0, 1, "MIG-1"),
        (1, None, "GPU-11111111"),
    ]
    assert sorted(place.rows()["two"]["gpus"]) == ["0:0", "0:1"]


@pytest.mark.at_length
@pytest.mark.parametrize("slots", [1, 3])
def test_a_card_has_as_many_runs_as_slots(place: Place, slots: int) -> None:
    cards_of(place, *FakeCards.cards(1))
    place.drop("aqueue.yaml", f"gpus: {{slots: {slots}}}\n")
    place.serve("-j", "9")
    names = [f"t{number}" for number in range(slots)]
    rows = [runs(place, name, "gpus: 1") for name in names]
    place.task("more", "true", "gpus: 1")
    which = ", ".join(str(row["id"]) for row in rows)
    waits(place, "more", f"GPU 0 is used by run{'s' if slots > 1 else ''} {which}")
    let_end(place, *names)
    place.becomes("more", "succeeded")


@pytest.mark.at_length
@pytest.mark.parametrize("count", [1, 4, 8])
def test_all_cards_there_are_are_given_away(place: Place, count: int) -> None:
    cards_of(place, *FakeCards.cards(count))
    place.task("all", TOLD, f"gpus: {count}")
    for number in range(count):
        place.task(f"t{number}", TOLD, "gpus: 1")
    place.drain("-j", "20")
    every = [str(index) for index in range(count)]
    assert told(place, "all")[1].split(",") == every
    assert len(seen(place)["gpus"]) == count


@pytest.mark.at_length
def test_cards_near_each_other_are_given_together(place: Place) -> None:
    cards_of(place, *FakeCards.cards(4), "link 1 3", "near 0 1 10")
    place.task("a", TOLD, "gpus: 2")
    place.drain()
    assert told(place, "a")[1] == "1,3"


def test_a_card_is_released_when_the_whole_process_group_is_gone(place: Place) -> None:
    cards_of(place, *FakeCards.cards(1))
    place.serve("-j", "2")
    # The command ends only once what it leaves behind can no longer be ended by SIGTERM.
    left = "(trap '' TERM; touch began; sleep 0.5; echo gone >>trace) &"
    place.task("a", f"{left} {place.until('began')}", "gpus: 1")
    place.appears("began")
    place.task("b", "cat trace", "gpus: 1")
    row = place.becomes("b", "succeeded", "failed")
    assert place.output(row) == "gone\n"


@pytest.mark.at_length
@pytest.mark.parametrize(("visible", "expected"), [("2,3", "2"), ("GPU-3333", "3")])
def test_a_server_that_was_started_under_a_list_of_cards_has_only_those(
    place: Place, visible: str, expected: str
) -> None:
    cards_of(place, *FakeCards.cards(4))
    place.serve("-j", "4", env={"CUDA_VISIBLE_DEVICES": visible})
    place.task("a", TOLD, "gpus: 1")
    place.becomes("a", "succeeded")
    assert told(place, "a")[1] == expected
    place.task("b", TOLD, "gpus: [1]")
    waits(place, "b", "waits for a server with GPU 1; this one has")


@pytest.mark.at_length
def test_a_server_that_was_started_with_all_cards_hidden_has_none(place: Place) -> None:
    cards_of(place, *FakeCards.cards(2))
    place.serve(env={"CUDA_VISIBLE_DEVICES": ""})
    place.task("a", TOLD, "gpus: 1")
    waits(place, "a", "waits for a server with 1 GPU; this one has none")


@pytest.mark.at_length
def test_two_servers_share_the_slots(place: Place) -> None:
    cards_of(place, *FakeCards.cards(2))
    first, second = place.serve("-j", "9"), place.serve("-j", "9")
    rows = [runs(place, name, "gpus: 1") for name in ("a", "b")]
    assert sorted(row["gpus"] for row in rows) == [[0], [1]]
    place.task("c", "true", "gpus: 2")
    waits(place, "c", "is used by run")
    let_end(place, "a", "b")
    place.becomes("c", "succeeded")
    assert "started" in first.text + second.text


@pytest.mark.at_length
def test_an_adopted_run_keeps_its_cards(place: Place) -> None:
    cards_of(place, *FakeCards.cards(2))
    server = place.serve("-j", "4")
    runs(place, "a", "gpus: [0]")
    server.kill()
    place.serve("-j", "4").says("adopted")
    place.task("b", TOLD, "gpus: 1")
    place.becomes("b", "succeeded")
    assert told(place, "b")[1] == "1"
    place.task("c", TOLD, "gpus: [0]")
    waits(place, "c", f"GPU 0 is used by run {place.rows()['a']['id']}")
    let_end(place, "a")
    place.becomes("c", "succeeded")
    assert not [pid for pid in probes(place) if pid == server.process.pid]


def test_the_library_is_not_loaded_for_runs_without_gpus(place: Place) -> None:
    cards = cards_of(place, *FakeCards.cards(2))
    place.task("a", "true")
    place.task("b", "true", "gpus: 0")
    place.drain("-j", "2")
    place.run("status")
    place.run("ls")
    assert cards.calls() == []
    place.task("c", "true", "gpus: 1")
    place.drain()
    assert cards.calls()


@pytest.mark.at_length
def test_cards_that_are_declared_are_given_away_without_a_driver(place: Place) -> None:
    cards_of(place, "init DRIVER_NOT_LOADED")
    place.drop("aqueue.yaml", "gpus: {devices: [0, 2]}\n")
    place.serve("-j", "9")
    assert [runs(place, name, "gpus: 1")["gpus"] for name in ("a", "b")] == [[0], [2]]
    place.task("c", TOLD, "gpus: [2]")
    waits(place, "c", "GPU 2 is used by run")
    text = place.run("gpus")
    assert "driver" not in text
    assert "GPU 2: declared in aqueue.yaml, run" in text
    let_end(place, "a", "b")
    place.becomes("c", "succeeded")
    assert told(place, "c") == ["PCI_BUS_ID", "2", "2", "2"]
    place.task("d", "true", "gpus: 3")
    waits(place, "d", "asks for 3 GPUs, but there are only 2")
    assert json.loads(place.run("status", "--json"))["gpus"][0]["uuid"] is None


@pytest.mark.at_length
def test_with_a_driver_only_the_declared_cards_are_given_away(place: Place) -> None:
    cards_of(place, *FakeCards.cards(3))
    place.drop("aqueue.yaml", "gpus: {devices: [1, GPU-2222]}\n")
    place.serve()
    place.task("a", TOLD, "gpus: 2")
    place.becomes("a", "succeeded")
    assert told(place, "a")[1] == "1,2"
    place.task("b", TOLD, "gpus: [0]")
    waits(place, "b", "asks for GPU 0, but there is none")
