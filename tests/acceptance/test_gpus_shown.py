"""The output of `gpus`, `status` and `show` about cards, and about runs that have or want them."""

import json
import os
import pwd
from pathlib import Path

import pytest

from tests.acceptance.driving import Place
from tests.acceptance.gpu_company import card, cards_of, let_end, runs, seen, sees_processes, waits
from tests.nvml.fake import FakeCards

pytestmark = pytest.mark.at_length

GIB = 1 << 30
ME = os.getpid()


@sees_processes
def test_gpus_shows_cards_and_what_runs_on_them_and_who_waits(place: Place) -> None:
    foreign = f"process 2 pid={ME} memory=3072"
    cards = cards_of(
        place, card(0, used=6144), card(1), card(2, used=3072), card(3, name="NVIDIA_H100_80GB"), foreign
    )
    place.drop("aqueue.yaml", "gpus: {slots: 2}\n")
    place.serve("-j", "9")
    place.task("a", f'echo "process 0 pid=$$ memory=6144" >> "$FAKE_NVML"; {place.until("a")}', "gpus: [0]")
    a = place.becomes("a", "running")
    (own,) = (word for word in cards.path.read_text().split() if word.startswith("pid=") and str(ME) not in word)
    b = runs(place, "b", "gpus: [0, 1]")
    place.task("c", "true", "gpus: [2]")
    waits(place, "c", f"pid {ME}")
    c = place.rows()["c"]
    user, name = pwd.getpwuid(os.getuid()).pw_name, Path("/proc/self/comm").read_text().strip()

    found = seen(place)
    assert found["problem"] is None
    first, second, third, fourth = found["gpus"]
    assert first["processes"] == [
        {
            "pid": int(own.removeprefix("pid=")),
            "memory": 6 * GIB,
            "user": user,
            "name": first["processes"][0]["name"],
            "run": a["id"],
        }
    ]
    assert (first["state"], first["runs"], first["slots"]) == ("full", [a["id"], b["id"]], 2)
    assert (first["memory_total"], first["memory_free"]) == (24 * GIB, 18 * GIB)
    assert (second["state"], second["runs"], second["processes"]) == ("shared", [b["id"]], [])
    assert (third["state"], third["runs"], third["waiting"]) == ("foreign", [], [c["id"]])
    assert third["processes"] == [{"pid": ME, "memory": 3 * GIB, "user": user, "name": name, "run": None}]
    assert third["why"] == f"GPU 2 is used by {name} (pid {ME}, {user}) with 3 GiB"
    assert (fourth["index"], fourth["uuid"], fourth["name"]) == (3, "GPU-33333333", "NVIDIA H100 80GB")
    assert (fourth["state"], fourth["why"], fourth["waiting"]) == ("free", None, [])

    text = place.run("gpus")
    assert f"GPU 0: NVIDIA A10, 18 GiB of 24 GiB free, runs {a['id']}, {b['id']}\n" in text
    assert f"GPU 1: NVIDIA A10, 24 GiB of 24 GiB free, run {b['id']}\n" in text
    assert f"GPU 2: NVIDIA A10, 21 GiB of 24 GiB free, {third['why']}; 1 waiting\n" in text
    assert f"  {ME} {name} ({user}), 3 GiB\n" in text
    assert "GPU 3: NVIDIA H100 80GB, 24 GiB of 24 GiB free, free\n" in text
    assert f"run {c['id']} c" in text and third["why"] in text.partition(f"run {c['id']} c")[2]

    assert "GPU 3: NVIDIA H100 80GB, 24 GiB of 24 GiB free, free\n" in place.run("status")
    shown = json.loads(place.run("status", "--json"))["gpus"]
    assert [one["runs"] for one in shown] == [[a["id"], b["id"]], [b["id"]], [], []]
    cards.remove(foreign)
    place.becomes("c", "succeeded")
    let_end(place, "a", "b")


def test_gpus_works_without_a_server_and_before_there_is_a_run(place: Place) -> None:
    place.init()
    cards = cards_of(place, *FakeCards.cards(8))
    assert place.run("gpus").count("24 GiB of 24 GiB free, free\n") == 8
    assert "GPU" not in place.run("status")
    cards.say("# none")
    assert place.run("gpus") == "there is no NVIDIA GPU here\n"
    assert seen(place) == {"problem": "there is no NVIDIA GPU here", "gpus": []}


def test_show_says_which_cards_a_run_had_in_each_attempt(place: Place) -> None:
    cards_of(place, *FakeCards.cards(3))
    place.task("a", f"[ $AQUEUE_ATTEMPT = 2 ] || exit 1; {place.until('a')}", "gpus: 2", "retries: 1")
    place.serve("-j", "9")
    place.task("b", "true", "gpus: 1", "gpu_memory: 20GiB")
    row = place.becomes("a", "running")
    while place.show(str(row["id"]))["attempt"] == 1:
        row = place.becomes("a", "running")
    let_end(place, "a")
    place.becomes("b", "succeeded")
    shown = place.show(str(row["id"]))
    assert len(shown["gpus"]) == 2
    text = place.run("show", str(row["id"]))
    assert "asks for     2 GPUs\n" in text
    assert f"gpus         {', '.join(map(str, shown['gpus']))}\n" in text
    assert text.count("  on GPUs 0 and 1  ") == 2
    text = place.run("show", str(place.rows()["b"]["id"]))
    assert "asks for     1 GPU with 20 GiB\n" in text
    assert f"gpus         {place.rows()['b']['gpus'][0]}\n" in text


def test_the_server_says_on_which_cards_a_run_is_started(place: Place) -> None:
    cards_of(place, *FakeCards.cards(2))
    place.task("a", "true", "gpus: 2")
    assert "started 1 a on GPUs 0 and 1\n" in place.drain()


def test_the_waiting_are_named_up_to_a_few(place: Place) -> None:
    cards_of(place, *FakeCards.cards(1))
    place.serve("-j", "9")
    runs(place, "busy", "gpus: 1")
    for number in range(5):
        place.task(f"t{number}", "true", "gpus: 1")
    waits(place, "t4", "")
    text = place.run("gpus")
    assert "GPU 0: NVIDIA A10, 24 GiB of 24 GiB free, run 1; 5 waiting\n" in text
    assert text.count("GPU 0 is used by run 1") == 3
    assert "2 more runs wait for GPUs; `aqueue ls --queued` shows them\n" in text
    let_end(place, "busy")
    place.becomes("t4", "succeeded")
