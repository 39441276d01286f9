"""The made up cards are what NVIDIA's own Python library sees."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.nvml.fake import FakeCards

MIB = 1024 * 1024
BEGIN = """
import json, sys, threading, time
from pynvml import *

def error(function, *args):
    try:
        function(*args)
    except NVMLError as failure:
        return type(failure).__name__

def say(*words):
    print(json.dumps(words), flush=True)

"""
INIT = "nvmlInit()\ncards = [nvmlDeviceGetHandleByIndex(index) for index in range(nvmlDeviceGetCount())]\n"


def start(cards: FakeCards, code: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", BEGIN + code]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=os.environ | cards.environment, stdin=pipe, stdout=pipe, text=True)


def said(cards: FakeCards, code: str) -> list[Any]:
    with start(cards, code) as process:
        output, _ = process.communicate()
    assert process.returncode == 0
    answers: list[Any] = json.loads(output)
    return answers


def test_a_card_has_all_that_was_said_of_it(tmp_path: Path) -> None:
    cards = FakeCards(
        tmp_path, *FakeCards.cards(1), "card 1 uuid=GPU-b bus=0001:0a:00.0 total=80 used=7 name=B_C_D"
    )
    code = """
pci, memory = nvmlDeviceGetPciInfo(cards[1]), nvmlDeviceGetMemoryInfo(cards[1])
new = nvmlDeviceGetMemoryInfo(cards[1], version=nvmlMemory_v2)
say(len(cards), [nvmlDeviceGetUUID(card) for card in cards], nvmlDeviceGetName(cards[1]),
    [pci.busId.decode() if isinstance(pci.busId, bytes) else pci.busId, pci.domain, pci.bus],
    [memory.total, memory.used, memory.free], [new.total, new.reserved, new.used, new.free],
    nvmlSystemGetDriverVersion(), error(nvmlDeviceGetHandleByIndex, 2))
"""
    assert said(cards, INIT + code) == [
        2,
        ["GPU-00000000", "GPU-b"],
        "B C D",
        ["00000001:0a:00.0", 1, 10],
        [80 * MIB, 7 * MIB, 73 * MIB],
        [80 * MIB, 0, 7 * MIB, 73 * MIB],
        "570.00.00",
        "NVMLError_InvalidArgument",
    ]


def test_processes_are_on_the_card_that_was_said(tmp_path: Path) -> None:
    cards = FakeCards(tmp_path, *FakeCards.cards(2), "process 1 pid=12 memory=34", "process 1 pid=56 memory=none")
    code = """
for all_of in (nvmlDeviceGetComputeRunningProcesses_v2, nvmlDeviceGetComputeRunningProcesses):
    found = [[(each.pid, each.usedGpuMemory) for each in all_of(card)] for card in cards]
    assert found == [[], [(12, 34 << 20), (56, None)]], found
say()
"""
    assert said(cards, INIT + code) == []


def test_a_function_fails_for_the_card_that_was_said(tmp_path: Path) -> None:
    cards = FakeCards(
        tmp_path,
        *FakeCards.cards(2),
        "error 1 nvmlDeviceGetMemoryInfo GPU_IS_LOST  # whichever version of it",
        "error 1 nvmlDeviceGetP2PStatus IN_USE",
    )
    code = """
say(error(nvmlDeviceGetMemoryInfo, cards[0]), error(nvmlDeviceGetMemoryInfo, cards[1]),
    error(nvmlDeviceGetMemoryInfo, cards[1], nvmlMemory_v2), error(nvmlDeviceGetP2PStatus, *cards, 2),
    nvmlErrorString(NVML_ERROR_IN_USE), nvmlShutdown(), error(nvmlDeviceGetCount))
"""
    lost = "NVMLError_GpuIsLost"
    expected = [None, lost, lost, "NVMLError_InUse", "IN_USE", None, "NVMLError_Uninitialized"]
    assert said(cards, INIT + code) == expected


def test_a_card_in_mig_mode_has_instances(tmp_path: Path) -> None:
    cards = FakeCards(
        tmp_path,
        *FakeCards.cards(2),
        "mig 1 2 uuid=MIG-b total=10 used=4",
        "process 1/2 pid=7 memory=3",
        "error 1/2 nvmlDeviceGetName NO_PERMISSION",
    )
    code = """
instance = nvmlDeviceGetMigDeviceHandleByIndex(cards[1], 2)
say(error(nvmlDeviceGetMigMode, cards[0]), nvmlDeviceGetMigMode(cards[1]),
    [nvmlDeviceGetMaxMigDeviceCount(card) for card in cards],
    error(nvmlDeviceGetMigDeviceHandleByIndex, cards[1], 0), nvmlDeviceGetUUID(instance),
    nvmlDeviceGetMemoryInfo(instance).free, error(nvmlDeviceGetName, instance),
    [[(each.pid, each.gpuInstanceId) for each in nvmlDeviceGetComputeRunningProcesses(device)]
     for device in (*cards, instance)])
"""
    expected = ["NVMLError_NotSupported", [1, 1], [0, 7], "NVMLError_NotFound", "MIG-b", 6 * MIB]
    assert said(cards, INIT + code) == [*expected, "NVMLError_NoPermission", [[], [[7, 2]], [[7, 2]]]]


def test_cards_are_connected_as_was_said_in_whichever_order(tmp_path: Path) -> None:
    cards = FakeCards(tmp_path, *FakeCards.cards(3), "link 1 0", "near 0 2 20")
    code = """
pairs = [(cards[0], cards[1]), (cards[2], cards[0])]
say([nvmlDeviceGetP2PStatus(*pair, NVML_P2P_CAPS_INDEX_NVLINK) for pair in pairs],
    [nvmlDeviceGetTopologyCommonAncestor(*pair) for pair in pairs])
"""
    assert said(cards, INIT + code) == [[0, 5], [50, 20]]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("init LIB_RM_VERSION_MISMATCH", "NVMLError_LibRmVersionMismatch"),
        ("error - nvmlInit NO_PERMISSION", "NVMLError_NoPermission"),
        (None, "NVMLError_DriverNotLoaded"),
    ],
)
def test_there_may_be_no_cards_to_be_had(tmp_path: Path, line: str | None, expected: str) -> None:
    cards = FakeCards(tmp_path, *[line] if line else [])
    if not line:
        cards.path.unlink()
    assert said(cards, "say(error(nvmlInit))") == [expected]


def test_a_card_that_hangs_holds_up_no_other_thread_and_goes_on_when_it_may(tmp_path: Path) -> None:
    hang = "hang 0 nvmlDeviceGetMemoryInfo 30"
    cards = FakeCards(tmp_path, *FakeCards.cards(2), hang)
    code = """
hanging = threading.Thread(target=nvmlDeviceGetMemoryInfo, args=(cards[0],))
hanging.start()
hanging.join(0.1)
nvmlDeviceGetMemoryInfo(cards[1])
say(hanging.is_alive())
sys.stdin.readline()
hanging.join(10)
say(hanging.is_alive(), nvmlDeviceGetMemoryInfo(cards[1]).used >> 20)
"""
    with start(cards, INIT + code) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline()) == [True]
        cards.remove(hang, FakeCards.cards(2)[1])
        cards.add("card 1 total=24576 used=5")
        output, _ = process.communicate("\n")
    assert json.loads(output) == [False, 5]
    asked = [call.split() for call in cards.calls()]
    assert {pid for pid, *_ in asked} == {str(process.pid)}
    assert sorted(call for _, *call in asked) == [
        ["nvmlDeviceGetCount_v2"],
        ["nvmlDeviceGetHandleByIndex_v2", "0"],
        ["nvmlDeviceGetHandleByIndex_v2", "1"],
        ["nvmlDeviceGetMemoryInfo", "0"],
        ["nvmlDeviceGetMemoryInfo", "1"],
        ["nvmlDeviceGetMemoryInfo", "1"],
        ["nvmlInitWithFlags"],
    ]


def test_what_is_no_statement_cannot_be_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a statement about cards: crad 0"):
        FakeCards(tmp_path, "crad 0")
