"""Queues and servers that have only some of the cards, and runs that ask for more than there is."""

import json

import pytest

from tests.acceptance import background
from tests.acceptance.driving import Place
from tests.acceptance.gpu_company import TOLD, card, cards_of, let_end, runs, told, waits
from tests.nvml.fake import FakeCards

pytestmark = pytest.mark.at_length

LANE = "queues: {config: [{name: lane, gpus: [1, 2], max_concurrency: 9}]}\n"
INSTANCE = "mig 0 {0} uuid=MIG-{0} total=10240 used=0 name=MIG"


def test_a_queue_may_be_confined_to_cards(place: Place) -> None:
    cards_of(place, *FakeCards.cards(4))
    place.drop("aqueue.yaml", LANE)
    place.serve("-j", "9")
    rows = [runs(place, name, "gpus: 1", "queue: lane") for name in ("a", "b")]
    assert [row["gpus"] for row in rows] == [[1], [2]]
    place.task("c", TOLD, "gpus: 1", "queue: lane")
    reason = waits(place, "c", "GPU 1 is used by run", "GPU 2 is used by run")
    assert "GPU 0" not in reason and "GPU 3" not in reason
    place.task("d", TOLD, "gpus: 1")
    place.becomes("d", "succeeded")
    assert told(place, "d")[1] == "0"
    let_end(place, "a")
    place.becomes("c", "succeeded")
    assert told(place, "c")[1] == "1"
    let_end(place, "b")


def test_what_its_queue_may_not_have_a_run_waits_for_and_says_so(place: Place) -> None:
    cards_of(place, *FakeCards.cards(4))
    place.drop("aqueue.yaml", LANE)
    place.serve("-j", "9")
    place.task("a", TOLD, "gpus: [0]", "queue: lane")
    place.task("b", TOLD, "gpus: 3", "queue: lane")
    waits(place, "a", "asks for GPU 0, but its queue may use only GPUs 1 and 2")
    waits(place, "b", "asks for 3 GPUs, but its queue may use only GPUs 1 and 2")
    place.drop("aqueue.yaml", LANE.replace("[1, 2]", "[0, 1, 2]"))
    for name in ("a", "b"):
        place.becomes(name, "succeeded")


def test_a_run_waits_for_a_server_that_has_its_card(place: Place) -> None:
    cards_of(place, *FakeCards.cards(4))
    place.serve("-j", "9", "--gpus", "0,1")
    place.task("two", TOLD, "gpus: [2]")
    place.task("three", TOLD, "gpus: 3")
    place.task("here", TOLD, "gpus: 2")
    place.becomes("here", "succeeded")
    assert told(place, "here")[1] == "0,1"
    waits(place, "two", "waits for a server with GPU 2; this one has only GPUs 0 and 1")
    waits(place, "three", "waits for a server with 3 GPUs; this one has only GPUs 0 and 1")
    place.serve("-j", "9", "--gpus", "[GPU-1111, 2, 3]")
    for name in ("two", "three"):
        place.becomes(name, "succeeded")
    assert told(place, "two")[1] == "2"
    assert sorted(told(place, "three")[1].split(",")) == ["1", "2", "3"]


def test_servers_of_the_same_cards_and_of_others_are_told_apart_by_start(place: Place) -> None:
    cards_of(place, *FakeCards.cards(4))
    place.init()
    try:
        first = background.start(place, "--gpus", "0")
        assert place.run("start", "--gpus", "0").startswith(f"server {first.pid} is up already")
        second = background.start(place, "--gpus", "1,2")
        status = place.run("status")
        assert f"server {first.pid}: " in status and ", only GPU 0" in status
        assert f"server {second.pid}: " in status and ", only GPUs 1 and 2" in status
        assert [one["gpus"] for one in background.servers(place)] == [[0], [1, 2]]
        place.add(TOLD, "-n", "a", "--gpus", "[2]")
        place.becomes("a", "succeeded")
    finally:
        background.end_all(place)


def test_cards_that_are_none_are_refused(place: Place) -> None:
    place.init()
    for verb, written in (("serve", "x"), ("start", "0,0"), ("add", "-1"), ("add", "0,0")):
        assert place.ask(verb, "--gpus", written, *(["--", "true"] if verb == "add" else [])).returncode == 2
    assert place.ask("add", "--gpu-memory", "much", "--", "true").returncode == 2
    assert "no GPUs are asked for" in place.ask("add", "--gpus", "0", "--gpu-memory", "1G", "--", "true").stderr
    assert place.ls() == []


def test_who_asks_for_more_than_there_is_is_queued_and_warned_by_the_server(place: Place) -> None:
    cards_of(place, *FakeCards.cards(4))
    server = place.serve("-j", "9")
    place.task("many", "true", "gpus: 8")
    place.task("large", "true", "gpu_memory: 80GiB")
    place.task("other", "true", "gpus: [7]")
    many, large = "asks for 8 GPUs, but there are only 4", "asks for 1 GPU with 80 GiB, but the largest has"
    for name, why in (("many", many), ("large", large), ("other", "asks for GPU 7, but there is none")):
        waits(place, name, why)
        server.says(f"{name} {why}")
    assert "warning" in server.text
    place.task("fits", "true", "gpus: 4")
    place.becomes("fits", "succeeded")


def test_who_asks_for_more_than_there_is_is_warned_at_once_when_a_server_has_looked(place: Place) -> None:
    cards_of(place, *FakeCards.cards(4))
    place.serve("-j", "9")
    place.task("look", "true", "gpus: 1")
    place.becomes("look", "succeeded")
    place.path("big.yaml").write_text("command: 'true'\ngpu_memory: 80GiB\n")
    many = "asks for 8 GPUs, but there are only 4"
    large = "asks for 1 GPU with 80 GiB, but the largest has 24 GiB"
    for arguments, why in (
        (("add", "-n", "a", "--gpus", "8", "--", "true"), many),
        (("enqueue", "-N", "b", "--gpus", "8", "big.yaml"), "asks for 8 GPUs with 80 GiB"),
        (("enqueue", "-N", "c", "big.yaml"), large),
    ):
        done = place.ask(*arguments)
        assert done.returncode == 0
        assert done.stdout.strip().isdigit()
        assert "warning: " in done.stderr and why in done.stderr
    waits(place, "a", many)
    done = place.ask("add", "-n", "d", "--gpus", "4", "--gpu-memory", "20GiB", "--", "true")
    assert done.stderr == ""
    place.becomes("d", "succeeded")


def test_what_options_say_of_gpus_goes_before_what_the_file_says(place: Place) -> None:
    cards_of(place, *FakeCards.cards(4))
    place.init()
    place.path("t.yaml").write_text(f"command: {json.dumps(TOLD)}\ngpus: 4\n")
    place.run("enqueue", "-N", "file", "t.yaml")
    place.run("enqueue", "-N", "fewer", "--gpus", "2", "t.yaml")
    place.run("enqueue", "-N", "none", "--gpus", "0", "t.yaml")
    place.run("enqueue", "-N", "these", "--gpus", "3,2", "t.yaml")
    place.run("add", "-n", "size", "--gpu-memory", "20G", "--", TOLD)
    place.serve("--drain", "-j", "9", wait=False).ends()
    expected = {"file": "0,1,2,3", "none": "", "these": "3,2"}
    assert {name: told(place, name)[1] for name in expected} == expected
    assert len(told(place, "fewer")[1].split(",")) == 2
    assert len(told(place, "size")[1]) == 1


def test_a_run_that_asks_for_too_much_starts_once_there_is_more(place: Place) -> None:
    cards = cards_of(place, card(0), INSTANCE.format(0))
    place.serve("-j", "9")
    place.task("a", TOLD, "gpus: 2")
    waits(place, "a", "asks for 2 GPUs, but there is only 1")
    cards.say(card(0), INSTANCE.format(0), INSTANCE.format(1))
    place.becomes("a", "succeeded", seconds=8)
