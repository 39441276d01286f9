"""The process that looks at the cards: what it sees of the made up ones, and that nothing stalls it."""

import json
import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.nvml.fake import FakeCards
from tests.waiting import eventually

RUNS = "/some where/queue/.aqueue/runs"
MIB = 1 << 20
PROBE = "import sys; import aqueue.gpus.nvml as nvml; {}; nvml.main(sys.argv[1], 1)"
IN_A_HURRY = PROBE.format("nvml.INIT_SECONDS = nvml.GPU_SECONDS = 0.3")
BLIND = PROBE.format("nvml._sees_processes = lambda: False")
SEEING = PROBE.format("nvml._sees_processes = lambda: True")


class Probe:
    """The process that looks, with its answers on its standard output."""

    def __init__(self, cards: FakeCards, code: str = SEEING) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, RUNS],
            env=os.environ | cards.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def look(self) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write("\n")
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def cards(self) -> list[dict[str, Any]]:
        found = self.look()
        assert found["problem"] is None
        cards: list[dict[str, Any]] = found["gpus"]
        return cards

    def end(self) -> int:
        """Its input ends; returns its exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(10)


@pytest.fixture
def probe(tmp_path: Path) -> Iterator[Callable[..., Probe]]:
    made: list[Probe] = []

    def make(cards: FakeCards, code: str = SEEING) -> Probe:
        made.append(Probe(cards, code))
        return made[-1]

    yield make
    for one in made:
        one.process.kill()
        one.process.wait()
        for pipe in (one.process.stdin, one.process.stdout):
            if pipe is not None:
                pipe.close()


def test_cards_are_in_the_order_of_buses_with_all_that_is_known_of_them(
    tmp_path: Path, probe: Callable[..., Probe]
) -> None:
    cards = FakeCards(
        tmp_path,
        "card 0 uuid=GPU-b bus=0000:81:00.0 total=80 used=7 name=B_C",
        "card 1 uuid=GPU-a bus=0000:01:00.0 total=40 used=0 name=A",
        "card 2 uuid=GPU-c bus=0001:01:00.0 total=40 used=40 name=C",
        "near 0 1 20",
        "link 1 2",
    )
    found = probe(cards).cards()
    facts = [(one["key"], one["index"], one["name"], one["total"], one["free"]) for one in found]
    assert facts == [
        ("GPU-a", 0, "A", 40 * MIB, 40 * MIB),
        ("GPU-b", 1, "B C", 80 * MIB, 73 * MIB),
        ("GPU-c", 2, "C", 40 * MIB, 0),
    ]
    assert [one["distances"] for one in found] == [
        {"GPU-b": 20, "GPU-c": 0},
        {"GPU-a": 20, "GPU-c": 50},
        {"GPU-a": 0, "GPU-b": 50},
    ]


def test_processes_are_known_by_their_users_and_runs(tmp_path: Path, probe: Callable[..., Probe]) -> None:
    environment = {"PATH": os.environ["PATH"], "AQUEUE_RUN_DIR": f"{RUNS}/12"}
    with subprocess.Popen(["sleep", "60"], env=environment) as run:
        elsewhere = {"PATH": os.environ["PATH"], "AQUEUE_RUN_DIR": "/other/queue/.aqueue/runs/12"}
        with subprocess.Popen(["sleep", "60"], env=elsewhere) as other:
            cards = FakeCards(
                tmp_path,
                *FakeCards.cards(2),
                f"process 1 pid={run.pid} memory=5",
                f"process 1 pid={other.pid} memory=none",
                "process 1 pid=99999999 memory=1",
            )
            looking = probe(cards)
            # What was started a moment ago may not be `sleep` yet.
            eventually(lambda: {one["name"] for one in looking.cards()[1]["processes"]} == {"sleep", ""})
            first, second = looking.cards()
            for process in (run, other):
                process.kill()
    me = pwd.getpwuid(os.getuid()).pw_name
    assert first["processes"] == []
    assert second["processes"] == [
        {"pid": run.pid, "memory": 5 * MIB, "user": me, "name": "sleep", "run": 12},
        {"pid": other.pid, "memory": None, "user": me, "name": "sleep", "run": None},
        {"pid": 99999999, "memory": MIB, "user": "", "name": "", "run": None},
    ]


def test_where_pids_mean_nothing_processes_are_not_told(tmp_path: Path, probe: Callable[..., Probe]) -> None:
    cards = FakeCards(tmp_path, *FakeCards.cards(1), f"process 0 pid={os.getpid()} memory=5")
    (found,) = probe(cards, BLIND).cards()
    assert found["processes"] is None
    assert found["error"] is None


def test_instances_have_the_numbers_by_which_the_driver_knows_them(
    tmp_path: Path, probe: Callable[..., Probe]
) -> None:
    cards = FakeCards(
        tmp_path,
        *FakeCards.cards(2),
        *[f"mig 1 {number} uuid=MIG-{number} total=10 used={number} name=MIG" for number in (0, 3)],
        f"process 1/3 pid={os.getpid()} memory=1",
    )
    found = probe(cards).cards()
    assert [(one["key"], one["index"], one["instance"], len(one["processes"])) for one in found] == [
        ("GPU-00000000", 0, None, 0),
        ("MIG-0", 1, 0, 0),
        ("MIG-3", 1, 3, 1),
    ]
    assert found[1]["distances"] == {"GPU-00000000": 50, "MIG-3": 0}


def test_a_gpu_in_mig_mode_without_instances_is_none(tmp_path: Path, probe: Callable[..., Probe]) -> None:
    lines = FakeCards.cards(2)
    cards = FakeCards(tmp_path, *lines, "mig 0 9 uuid=MIG-x total=1 used=0")
    assert [one["key"] for one in probe(cards).cards()] == ["GPU-11111111"]


@pytest.mark.parametrize("error", ["NOT_SUPPORTED", "FUNCTION_NOT_FOUND"])
def test_what_a_driver_or_a_card_does_not_know_of_does_not_matter(
    tmp_path: Path, probe: Callable[..., Probe], error: str
) -> None:
    functions = ("GetMigMode", "GetP2PStatus", "GetTopologyCommonAncestor")
    lines = [f"error {index} nvmlDevice{function} {error}" for index in range(2) for function in functions]
    found = probe(FakeCards(tmp_path, *FakeCards.cards(2), *lines)).cards()
    assert [one["error"] for one in found] == [None, None]


@pytest.mark.parametrize("error", ["NOT_SUPPORTED", "NO_PERMISSION", "FUNCTION_NOT_FOUND"])
def test_a_card_that_tells_only_its_memory_or_only_its_processes_is_no_failure(
    tmp_path: Path, probe: Callable[..., Probe], error: str
) -> None:
    cards = FakeCards(
        tmp_path,
        *FakeCards.cards(2),
        f"error 0 nvmlDeviceGetMemoryInfo {error}",
        f"error 1 nvmlDeviceGetComputeRunningProcesses {error}",
    )
    first, second = probe(cards).cards()
    assert (first["error"], first["total"], first["processes"]) == (None, None, [])
    assert (second["error"], second["total"], second["processes"]) == (None, 24576 * MIB, None)


@pytest.mark.parametrize("error", ["GPU_IS_LOST", "TIMEOUT", "UNKNOWN"])
def test_a_card_that_fails_is_known_as_long_as_it_tells_its_uuid(
    tmp_path: Path, probe: Callable[..., Probe], error: str
) -> None:
    failing = f"error 0 nvmlDeviceGetMemoryInfo {error}"
    cards = FakeCards(tmp_path, *FakeCards.cards(2), failing)
    looking = probe(cards)
    first, second = looking.cards()
    assert (first["key"], first["index"], bool(first["error"])) == ("GPU-00000000", 0, True)
    assert (second["error"], second["free"]) == (None, 24576 * MIB)
    cards.remove(failing)
    assert [one["error"] for one in looking.cards()] == [None, None]


def test_a_driver_that_failed_is_asked_again(tmp_path: Path, probe: Callable[..., Probe]) -> None:
    cards = FakeCards(tmp_path, "init DRIVER_NOT_LOADED")
    looking = probe(cards)
    for _ in range(2):
        assert looking.look()["problem"] == "the NVIDIA driver is not loaded"
    cards.say(*FakeCards.cards(1))
    assert len(looking.cards()) == 1


def test_a_card_that_hangs_is_asked_once_and_keeps_no_other_waiting(
    tmp_path: Path, probe: Callable[..., Probe]
) -> None:
    hang = "hang 1 nvmlDeviceGetMemoryInfo 30"
    cards = FakeCards(tmp_path, *FakeCards.cards(3), hang)
    looking = probe(cards, IN_A_HURRY)
    began = time.monotonic()
    for _ in range(3):
        assert [one["error"] for one in looking.cards()] == [None, "does not answer", None]
    assert time.monotonic() - began < 5
    asked = [call.split()[1:] for call in cards.calls()]
    assert asked.count(["nvmlDeviceGetMemoryInfo", "1"]) == 1
    assert asked.count(["nvmlDeviceGetMemoryInfo", "0"]) == 3
    cards.remove(hang)
    eventually(lambda: [one["error"] for one in looking.cards()] == [None] * 3)


def test_a_driver_that_hangs_does_not_answer_until_it_does(tmp_path: Path, probe: Callable[..., Probe]) -> None:
    hang = "hang - nvmlInit 30"
    cards = FakeCards(tmp_path, *FakeCards.cards(1), hang)
    looking = probe(cards, IN_A_HURRY)
    for _ in range(2):
        assert looking.look()["problem"] == "the NVIDIA driver does not answer"
    cards.remove(hang)
    eventually(lambda: looking.look()["problem"] is None)


def test_distances_that_are_not_told_in_time_do_not_matter(tmp_path: Path, probe: Callable[..., Probe]) -> None:
    cards = FakeCards(tmp_path, *FakeCards.cards(2), "hang 0 nvmlDeviceGetP2PStatus 30")
    assert [(one["error"], one["distances"]) for one in probe(cards, IN_A_HURRY).cards()] == [(None, {})] * 2


@pytest.mark.parametrize("hang", ["hang 0 nvmlDeviceGetName 30", "hang - nvmlInit 30", "# none"])
def test_it_ends_with_its_input_even_if_a_card_hangs(
    tmp_path: Path, probe: Callable[..., Probe], hang: str
) -> None:
    looking = probe(FakeCards(tmp_path, *FakeCards.cards(2), hang), IN_A_HURRY)
    looking.look()
    assert looking.end() == 0


def test_what_it_is_interrupted_by_is_the_business_of_its_server(
    tmp_path: Path, probe: Callable[..., Probe]
) -> None:
    looking = probe(FakeCards(tmp_path, *FakeCards.cards(1)))
    looking.look()
    looking.process.send_signal(signal.SIGINT)
    assert len(looking.cards()) == 1


def test_a_card_that_fails_keeps_its_place_and_its_name(tmp_path: Path, probe: Callable[..., Probe]) -> None:
    lines = [
        f"card {number} uuid=GPU-{number} bus=0000:0{bus}:00.0 total=10 used=0 name=X"
        for number, bus in enumerate((2, 3, 1))
    ]
    looking = probe(cards := FakeCards(tmp_path, *lines))
    order = [("GPU-2", 0), ("GPU-0", 1), ("GPU-1", 2)]
    assert [(one["key"], one["index"]) for one in looking.cards()] == order
    cards.add("error 2 nvmlDeviceGetUUID GPU_IS_LOST")
    found = looking.cards()
    assert [(one["key"], one["index"]) for one in found] == order
    assert found[0]["error"]
