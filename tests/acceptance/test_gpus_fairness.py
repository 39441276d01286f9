"""A run that needs many cards is not starved by those that need few, and keeps nobody else waiting."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.acceptance.driving import Place
from tests.acceptance.gpu_company import TOLD, cards_of, let_end, runs, seen, told, waits
from tests.nvml.fake import FakeCards
from tests.waiting import eventually

pytestmark = pytest.mark.at_length


def test_cards_are_set_aside_for_a_run_that_needs_many(place: Place) -> None:
    cards_of(place, *FakeCards.cards(4))
    place.serve("-j", "20")
    names = [f"t{index}" for index in range(4)]
    assert [runs(place, name, f"gpus: [{index}]")["gpus"] for index, name in enumerate(names)] == [
        [index] for index in range(4)
    ]
    place.task("big", TOLD, "gpus: 4")
    waits(place, "big", "waits for GPUs: GPU 0 is used by run")
    place.task("small", TOLD, "gpus: 1")
    place.task("plain", "true")
    place.task("hides", "true", "gpus: 0")
    for name in ("plain", "hides"):
        place.becomes(name, "succeeded")
    let_end(place, "t0")
    big = place.rows()["big"]["id"]
    waits(place, "small", f"GPU 0 is reserved for run {big}")
    assert place.rows()["big"]["state"] == "queued"
    assert seen(place)["gpus"][0]["waiting"] == [big, place.rows()["small"]["id"]]
    let_end(place, *names[1:])
    rows = [place.becomes(name, "succeeded") for name in ("big", "small")]
    assert told(place, "big")[1] == "0,1,2,3"
    assert rows[0]["started_at"] < rows[1]["started_at"]


def test_runs_that_need_other_cards_pass_one_that_waits(place: Place) -> None:
    cards_of(place, *FakeCards.cards(4))
    place.serve("-j", "20")
    runs(place, "busy", "gpus: [0]")
    place.task("pair", TOLD, "gpus: [0, 1]")
    waits(place, "pair", "GPU 0 is used by run")
    place.task("aside", TOLD, "gpus: [1]")
    place.task("any", TOLD, "gpus: 1")
    place.task("that", TOLD, "gpus: [3]")
    for name in ("any", "that"):
        place.becomes(name, "succeeded")
    assert told(place, "any")[1] in ("2", "3")
    waits(place, "aside", f"GPU 1 is reserved for run {place.rows()['pair']['id']}")
    let_end(place, "busy")
    for name in ("pair", "aside"):
        place.becomes(name, "succeeded")


def test_a_run_that_can_never_have_its_cards_keeps_none_from_others(place: Place) -> None:
    cards_of(place, *FakeCards.cards(2))
    place.serve("-j", "20")
    place.task("never", TOLD, "gpus: 3")
    waits(place, "never", "asks for 3 GPUs, but there are only 2")
    for name in ("a", "b"):
        place.task(name, TOLD, "gpus: 2")
        place.becomes(name, "succeeded")


def test_a_more_urgent_run_gets_the_next_card(place: Place) -> None:
    cards_of(place, *FakeCards.cards(1))
    place.serve("-j", "20")
    runs(place, "busy", "gpus: 1")
    place.task("low", "echo low >> order", "gpus: 1")
    waits(place, "low", "GPU 0 is used by run")
    place.task("high", "echo high >> order", "gpus: 1", "priority: high")
    waits(place, "high", "GPU 0 is used by run")
    let_end(place, "busy")
    place.becomes("low", "succeeded")
    assert place.lines("order") == ["high", "low"]


def test_a_run_keeps_its_turn_while_its_card_is_looked_at(place: Place) -> None:
    cards_of(place, *FakeCards.cards(1))
    place.serve()
    # The first look loads the driver's library, and a slot is not kept for as long as that may take.
    place.task("before", "true", "gpus: 1")
    place.becomes("before", "succeeded")
    runs(place, "first")
    place.task("gpu", "true", "gpus: 1")
    waits(place, "gpu", "all job slots are taken")
    for index in range(3):
        place.task(f"later{index}", "true")
    waits(place, "later2", "all job slots are taken")
    let_end(place, "first")
    rows = [place.becomes(name, "succeeded") for name in ("gpu", "later0", "later1", "later2")]
    assert rows[0]["started_at"] == min(row["started_at"] for row in rows)


def test_a_server_does_not_give_away_what_another_has_set_aside(place: Place) -> None:
    cards_of(place, *FakeCards.cards(2))
    place.serve("-j", "9", "--queue", "small")
    place.serve("-j", "9", "--queue", "big")
    config = "queues: {config: [{name: small, max_concurrency: 9}, {name: big, max_concurrency: 9}]}\n"
    place.drop("aqueue.yaml", config)
    for index in range(2):
        runs(place, f"s{index}", "gpus: 1", "queue: small")
    place.task("large", TOLD, "gpus: 2", "queue: big")
    waits(place, "large", "waits for GPUs")
    place.task("later", TOLD, "gpus: 1", "queue: small")
    place.task("sooner", TOLD, "gpus: 1", "queue: small", "priority: high")
    waits(place, "sooner", "waits for GPUs")
    let_end(place, "s0")
    place.becomes("sooner", "succeeded")
    waits(place, "later", f"reserved for run {place.rows()['large']['id']}")
    let_end(place, "s1")
    rows = [place.becomes(name, "succeeded") for name in ("large", "later")]
    assert rows[0]["started_at"] < rows[1]["started_at"]


def test_a_driver_that_hangs_keeps_no_run_that_needs_no_card_for_long(place: Place) -> None:
    cards_of(place, *FakeCards.cards(1), "hang - nvmlInit 20")
    place.serve()
    place.task("gpu", "true", "gpus: 1")
    for index in range(3):
        place.task(f"later{index}", "true")
    for index in range(3):
        place.becomes(f"later{index}", "succeeded", seconds=8)
    assert place.rows()["gpu"]["state"] == "queued"


def test_a_server_that_is_leaving_does_not_look_for_cards_without_end(place: Place) -> None:
    cards_of(place, *FakeCards.cards(1))
    server = place.serve("-j", "2")
    runs(place, "long")
    place.task("never", "true", "gpus: 5")
    waits(place, "never", "asks for 5 GPUs")
    server.signal(signal.SIGINT)
    server.says("waiting for 1 run")
    began, before = time.monotonic(), cpu_seconds(server.process.pid)
    eventually(lambda: time.monotonic() - began > 2.0)
    assert cpu_seconds(server.process.pid) - before < 0.5
    place.path("long").touch()
    assert server.ends() == 0


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
