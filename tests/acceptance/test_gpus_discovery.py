"""A fault of the driver or of a card is reported in a plain sentence, and stops nothing else."""

import os
import signal

import pytest

from tests.acceptance.driving import Place
from tests.acceptance.gpu_company import TOLD, card, cards_of, probes, seen, states, told, waits
from tests.nvml.fake import FakeCards
from tests.waiting import eventually

pytestmark = pytest.mark.at_length

LOST = "has fallen off the bus; restart the machine"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("init LIBRARY_NOT_FOUND", "there is no NVIDIA driver here (libnvidia-ml.so.1 is not found)"),
        ("init DRIVER_NOT_LOADED", "the NVIDIA driver is not loaded"),
        ("init LIB_RM_VERSION_MISMATCH", "the NVIDIA driver was updated, but the old one is still loaded"),
        ("init NO_PERMISSION", "the NVIDIA driver does not let this user read the GPUs"),
        ("init UNKNOWN", "the NVIDIA driver fails"),
        ("init TIMEOUT", "the NVIDIA driver does not answer"),
        ("error - nvmlDeviceGetCount UNKNOWN", "the NVIDIA driver fails"),
        ("# no card", "there is no NVIDIA GPU here"),
    ],
)
def test_the_state_of_the_driver_is_a_plain_sentence(place: Place, line: str, sentence: str) -> None:
    place.init()
    cards_of(place, line)
    assert place.run("gpus").startswith(sentence)


@pytest.mark.skipif(os.path.exists("/proc/driver/nvidia"), reason="there is a driver here")
def test_without_the_library_a_run_that_needs_gpus_waits_and_others_do_not(place: Place) -> None:
    server = place.serve("-j", "4")
    place.task("a", "true", "gpus: 1")
    place.task("b", "true")
    place.becomes("b", "succeeded")
    sentence = "waits for GPUs: there is no NVIDIA driver here (libnvidia-ml.so.1 is not found)"
    waits(place, "a", sentence)
    server.says(sentence)
    assert seen(place) == {"problem": sentence.removeprefix("waits for GPUs: "), "gpus": []}


def test_with_a_driver_that_does_not_fit_a_run_waits_and_others_do_not(place: Place) -> None:
    cards_of(place, "init LIB_RM_VERSION_MISMATCH")
    place.serve("-j", "4")
    place.task("a", "true", "gpus: 1")
    waits(place, "a", "waits for GPUs: the NVIDIA driver was updated")
    place.task("b", "true")
    place.becomes("b", "succeeded")
    eventually(lambda: not probes(place))


@pytest.mark.parametrize(
    ("function", "error", "sentence"),
    [
        ("nvmlDeviceGetHandleByIndex", "GPU_IS_LOST", LOST),
        ("nvmlDeviceGetMemoryInfo", "GPU_IS_LOST", LOST),
        ("nvmlDeviceGetPciInfo", "UNKNOWN", "fails: unknown error"),
        ("nvmlDeviceGetComputeRunningProcesses", "RESET_REQUIRED", "must be reset: `nvidia-smi --gpu-reset`"),
        ("nvmlDeviceGetUUID", "IRQ_ISSUE", "has a problem with its interrupts or its power supply"),
    ],
)
def test_a_card_that_fails_says_so_and_the_others_are_as_they_were(
    place: Place, function: str, error: str, sentence: str
) -> None:
    place.init()
    cards_of(place, *FakeCards.cards(3), f"error 1 {function} {error}")
    assert states(place) == ["free", "failed", "free"]
    line = place.run("gpus").splitlines()[1]
    assert line.startswith("GPU 1") and line.endswith(sentence)
    assert "aqueue.yaml" not in line


def test_a_card_that_fails_is_passed_over_until_it_does_not(place: Place) -> None:
    lost = "error 0 nvmlDeviceGetMemoryInfo GPU_IS_LOST"
    cards = cards_of(place, *FakeCards.cards(2), lost)
    place.serve("-j", "4")
    place.task("any", TOLD, "gpus: 1")
    place.task("lost", TOLD, "gpus: [0]")
    place.task("none", "true")
    for name in ("any", "none"):
        place.becomes(name, "succeeded")
    assert told(place, "any")[1] == "1"
    waits(place, "lost", f"waits for GPUs: GPU 0 {LOST}")
    cards.remove(lost)
    place.becomes("lost", "succeeded")
    assert told(place, "lost")[1] == "0"


def test_a_card_of_which_this_user_may_know_nothing_is_not_given_away(place: Place) -> None:
    cards_of(place, *FakeCards.cards(2), "error 0 nvmlDeviceGetHandleByIndex NO_PERMISSION")
    place.task("a", TOLD, "gpus: 1")
    place.drain()
    assert told(place, "a")[1] == "1"
    assert states(place) == ["failed", "free"]


def test_a_card_that_does_not_tell_what_is_on_it_is_not_free(place: Place) -> None:
    nothing = [f"error 0 nvmlDeviceGet{what} NOT_SUPPORTED" for what in ("MemoryInfo", "ComputeRunningProcesses")]
    cards_of(place, *FakeCards.cards(1), *nothing)
    place.serve()
    place.task("a", "true", "gpus: 1")
    waits(place, "a", "waits for GPUs: GPU 0 does not report its memory or its processes")


def test_a_driver_that_is_too_old_to_tell_processes_stops_no_card(place: Place) -> None:
    old = [f"error {index} nvmlDeviceGetComputeRunningProcesses FUNCTION_NOT_FOUND" for index in range(2)]
    cards_of(place, *FakeCards.cards(2), *old)
    place.serve()
    place.task("a", TOLD, "gpus: 1")
    place.becomes("a", "succeeded", seconds=4)
    assert seen(place)["problem"] is None


def test_a_container_has_the_cards_that_it_shows(place: Place) -> None:
    cards_of(place, card(0, uuid="GPU-cccc", bus="0000:c1:00.0"), card(1, uuid="GPU-bbbb", bus="0000:b1:00.0"))
    place.task("a", TOLD, "gpus: 2")
    place.task("b", TOLD, "gpus: [0]")
    place.drain("-j", "2")
    assert (told(place, "a")[1], told(place, "b")[1]) == ("0,1", "0")
    assert [one["uuid"] for one in seen(place)["gpus"]] == ["GPU-bbbb", "GPU-cccc"]


def test_a_card_that_hangs_holds_up_nothing_but_itself(place: Place) -> None:
    hang = "hang 2 nvmlDeviceGetMemoryInfo 30"
    cards = cards_of(place, *FakeCards.cards(3), hang)
    place.serve("-j", "9")
    place.task("sick", TOLD, "gpus: [2]")
    place.task("none", "true")
    place.becomes("none", "succeeded", seconds=1.5)
    place.task("some", TOLD, "gpus: 2")
    place.becomes("some", "succeeded", seconds=6)
    assert told(place, "some")[1] == "0,1"
    waits(place, "sick", "waits for GPUs: GPU 2 does not answer")
    assert states(place) == ["free", "free", "failed"]
    cards.remove(hang)
    place.becomes("sick", "succeeded")


def test_a_driver_that_hangs_stalls_no_server_and_keeps_none_from_leaving(place: Place) -> None:
    cards_of(place, *FakeCards.cards(2), "hang - nvmlInit 30")
    server = place.serve("-j", "9")
    place.task("a", "true", "gpus: 1")
    eventually(lambda: probes(place))
    for name in ("b", "c"):
        place.task(name, "true")
        place.becomes(name, "succeeded", seconds=1.5)
    waits(place, "a", "checking which GPUs are free")
    server.signal(signal.SIGTERM)
    assert server.ends(5) == 0
    eventually(lambda: not probes(place), 2)


def test_a_driver_that_is_slow_to_begin_is_waited_for_once(place: Place) -> None:
    sick = "error 1 nvmlDeviceGetMemoryInfo GPU_IS_LOST"
    cards_of(place, *FakeCards.cards(2), "hang - nvmlInit 2.2", sick)
    place.serve()
    place.task("a", TOLD, "gpus: 1")
    place.becomes("a", "succeeded", seconds=7)
    assert told(place, "a")[1] == "0"


def test_the_process_that_looks_ends_with_a_server_that_is_killed(place: Place) -> None:
    cards_of(place, *FakeCards.cards(2))
    server = place.serve()
    place.task("a", "true", "gpus: 1")
    place.becomes("a", "succeeded")
    assert len(probes(place)) == 1
    server.kill()
    eventually(lambda: not probes(place), 2)


def test_the_process_that_looks_may_be_killed(place: Place) -> None:
    cards_of(place, *FakeCards.cards(2))
    place.serve()
    place.task("a", "true", "gpus: 1")
    place.becomes("a", "succeeded")
    (probe,) = probes(place)
    os.kill(probe, signal.SIGKILL)
    place.task("b", "true", "gpus: 2")
    place.becomes("b", "succeeded", seconds=5)


def test_a_file_beside_the_folder_is_not_taken_for_a_library(place: Place) -> None:
    cards_of(place, *FakeCards.cards(1))
    place.path("pynvml.py").write_text("raise SystemExit(1)\n")
    place.task("a", TOLD, "gpus: 1")
    place.serve()
    place.becomes("a", "succeeded", seconds=4)
