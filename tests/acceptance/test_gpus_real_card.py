"""Tests that need a real card; without one they are skipped, and say so."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.driving import Place, Row
from tests.waiting import eventually

# CUDA's driver library, with no more than Python to call it: the UUIDs of the cards that it shows, and a context
# with some memory on the first, until its input ends.
CUDA = """
import ctypes, sys
cuda = ctypes.CDLL("libcuda.so.1")
def call(name, *arguments):
    if code := getattr(cuda, name)(*arguments):
        sys.exit(f"{name} fails: {code}")
call("cuInit", 0)
count = ctypes.c_int()
call("cuDeviceGetCount", ctypes.byref(count))
for ordinal in range(count.value):
    uuid = (ctypes.c_ubyte * 16)()
    call("cuDeviceGetUuid", ctypes.byref(uuid), ordinal)
    print("GPU-" + bytes(uuid).hex(), flush=True)
if "hold" in sys.argv:
    context, memory = ctypes.c_void_p(), ctypes.c_uint64()
    call("cuCtxCreate_v2", ctypes.byref(context), 0, 0)
    call("cuMemAlloc_v2", ctypes.byref(memory), ctypes.c_size_t(1 << 30))
    print("holds", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def cards(place: Place) -> list[Row]:
    """The cards of this machine, none of which anybody uses."""
    place.init()
    found = json.loads(place.run("gpus", "--json"))
    if found["problem"]:
        pytest.skip(f"no real GPU: {found['problem']}")
    if any(card["state"] != "free" or card["instance"] is not None for card in found["gpus"]):
        pytest.skip("a GPU of this machine is in use, or partitioned")
    rows: list[Row] = found["gpus"]
    return rows


@pytest.fixture
def program(place: Place) -> str:
    path = place.path("cuda.py")
    path.write_text(CUDA)
    return f"{sys.executable} {path}"


@pytest.fixture
def stranger(place: Place, program: str) -> Iterator["subprocess.Popen[str]"]:
    """A process of nobody's that has a gibibyte on the first card."""
    process = subprocess.Popen(
        [*program.split(), "hold"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        assert process.stdout is not None
        while process.stdout.readline() != "holds\n":
            assert process.poll() is None
        yield process
    finally:
        process.kill()
        process.communicate()


def same(uuid: str) -> str:
    """As CUDA's driver tells it, without the dashes between its parts."""
    return "GPU-" + uuid.removeprefix("GPU-").replace("-", "")


def test_cards_are_discovered_with_their_names_and_memory(cards: list[Row]) -> None:
    for index, card in enumerate(cards):
        assert card["index"] == index
        assert card["name"]
        assert card["uuid"].startswith("GPU-")
        assert 0 < card["memory_free"] <= card["memory_total"]


def test_a_command_sees_just_its_card(place: Place, cards: list[Row], program: str) -> None:
    for index in range(len(cards)):
        place.task(f"card{index}", program, f"gpus: [{index}]")
    place.task("none", program, "gpus: 0")
    place.drain("-j", "8")
    rows = place.rows()
    for index, card in enumerate(cards):
        assert place.output(rows[f"card{index}"]).split() == [same(card["uuid"])]
    assert rows["none"]["state"] == "failed"
    assert "cuInit fails: 100" in place.output(rows["none"])


def test_a_run_waits_for_a_stranger_on_the_card_and_names_it(
    place: Place, cards: list[Row], program: str, stranger: "subprocess.Popen[str]"
) -> None:
    place.serve()
    place.task("mine", program, "gpus: [0]")
    eventually(lambda: f"pid {stranger.pid}" in (place.rows()["mine"]["waiting_for"] or ""), 30.0)
    assert stranger.stdin is not None
    stranger.stdin.close()
    stranger.wait(30)
    place.becomes("mine", "succeeded", seconds=60.0)


def test_the_process_of_a_run_is_known_as_its_own(place: Place, cards: list[Row], program: str) -> None:
    place.serve()
    gate = place.path("gate")
    subprocess.run(["mkfifo", gate], check=True)
    place.task("mine", f"{program} hold < {gate}", "gpus: [0]")
    with gate.open("w"):
        eventually(lambda: "holds" in Path(place.becomes("mine", "running")["log"]).read_text(), 60.0)
        began = time.monotonic()
        (first, *_) = json.loads(place.run("gpus", "--json"))["gpus"]
        print(f"a look at {len(cards)} cards, with the start of Python: {time.monotonic() - began:.3f} s")
        assert first["runs"] == [1]
        if first["processes"] is not None:
            assert [process["run"] for process in first["processes"]] == [1]
    place.becomes("mine", "succeeded", seconds=60.0)
