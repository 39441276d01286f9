"""Looking at the cards through a process of its own, whatever becomes of that."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from aqueue.folder.layout import Folder
from aqueue.gpus import probe as module
from aqueue.gpus.probe import Gpus
from tests.nvml.fake import FakeCards
from tests.waiting import eventually, eventually_async

HANG = "hang - nvmlInit 30"
NO_ANSWER = "the NVIDIA driver does not answer"


@pytest.fixture
def cards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCards:
    cards = FakeCards(tmp_path, *FakeCards.cards(2))
    for key, value in cards.environment.items():
        monkeypatch.setenv(key, value)
    return cards


@pytest.fixture
def gpus(folder: Folder) -> Iterator[Gpus]:
    gpus = Gpus(folder)
    yield gpus
    gpus.close()
    eventually(lambda: not probes(folder))


def probes(folder: Folder) -> list[int]:
    """The living processes that look at cards for this folder, as `ps` shows them."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"aqueue.gpus.nvml" in words and os.fsencode(folder.runs_text) in words:
                found.append(int(entry.name))
    return found


async def test_looks_are_taken_by_one_process_that_is_started_by_the_first(
    cards: FakeCards, gpus: Gpus, folder: Folder
) -> None:
    assert probes(folder) == []
    looks = [await gpus.read(), gpus.read_blocking(), await gpus.read()]
    assert [[card.key for card in look.gpus] for look in looks] == [["GPU-00000000", "GPU-11111111"]] * 3
    assert [look.problem for look in looks] == [None] * 3
    assert looks[0].began_at <= looks[1].began_at <= looks[2].began_at
    assert {call.split()[0] for call in cards.calls()} == set(map(str, probes(folder)))
    gpus.close()
    assert probes(folder) == []
    assert len((await gpus.read()).gpus) == 2


async def test_a_process_that_was_killed_between_two_looks_is_replaced(
    cards: FakeCards, gpus: Gpus, folder: Folder
) -> None:
    for ask_now in (False, True):
        await gpus.read()
        (before,) = probes(folder)
        os.kill(before, signal.SIGKILL)
        os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
        look = gpus.read_blocking() if ask_now else await gpus.read()
        assert len(look.gpus) == 2
        assert probes(folder) != [before]


async def test_a_process_that_is_killed_at_a_look_is_a_problem_of_that_look(
    cards: FakeCards, gpus: Gpus, folder: Folder
) -> None:
    cards.add(HANG)

    async def kill() -> None:
        await eventually_async(lambda: bool(cards.calls()))
        os.kill(probes(folder)[0], signal.SIGKILL)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(kill)
        look = await gpus.read()
    assert look.problem is not None and "has ended" in look.problem
    cards.remove(HANG)
    assert (await gpus.read()).problem is None


async def test_a_look_that_takes_too_long_is_given_up_and_so_is_its_process(
    cards: FakeCards, gpus: Gpus, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards.add(HANG)
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.5)
    assert (await gpus.read()).problem == NO_ANSWER
    assert probes(folder) == []
    assert gpus.read_blocking().problem == NO_ANSWER
    assert probes(folder) == []
    monkeypatch.undo()
    for key, value in cards.environment.items():
        monkeypatch.setenv(key, value)
    cards.remove(HANG)
    assert len((await gpus.read()).gpus) == 2


async def test_a_look_keeps_nobody_on_the_event_loop_waiting(cards: FakeCards, gpus: Gpus) -> None:
    cards.add(HANG)
    ticks = 0
    with anyio.move_on_after(0.5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gpus.read)
            while True:
                ticks += 1
                await anyio.sleep(0.01)
    assert ticks > 10


async def test_the_answer_to_a_look_that_was_cancelled_is_not_that_to_the_next(
    cards: FakeCards, gpus: Gpus, folder: Folder
) -> None:
    hang = "hang 0 nvmlDeviceGetName 30"
    cards.add(hang)
    with anyio.move_on_after(0.3) as scope:
        await gpus.read()
    assert scope.cancelled_caught
    assert probes(folder) == []
    cards.say(*FakeCards.cards(1))
    assert len((await gpus.read()).gpus) == 1


@pytest.mark.parametrize(
    "line", ["init LIB_RM_VERSION_MISMATCH", "error 0 nvmlDeviceGetMemoryInfo RESET_REQUIRED"]
)
async def test_no_process_has_the_driver_open_while_something_is_wrong_with_it(
    cards: FakeCards, gpus: Gpus, folder: Folder, line: str
) -> None:
    cards.add(line)
    look = await gpus.read()
    assert look.problem or look.gpus[0].error
    assert probes(folder) == []
    cards.remove(line)
    look = gpus.read_blocking()
    assert (look.problem, look.gpus[0].error) == (None, None)


async def test_that_no_process_can_be_started_is_a_problem_too(
    cards: FakeCards, gpus: Gpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/python")
    for look in (await gpus.read(), gpus.read_blocking()):
        assert look.problem is not None and "cannot be read" in look.problem


async def test_what_something_else_prints_is_a_problem_and_no_exception(
    cards: FakeCards, gpus: Gpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('welcome to this site')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for look in (await gpus.read(), gpus.read_blocking()):
        assert look.problem is not None or len(look.gpus) == 2


async def test_a_module_in_the_current_directory_is_not_taken_for_a_library(
    cards: FakeCards, gpus: Gpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pynvml.py").write_text("raise SystemExit(1)\n")
    monkeypatch.chdir(tmp_path)
    assert len((await gpus.read()).gpus) == 2


def test_closing_is_no_matter_how_often(cards: FakeCards, gpus: Gpus) -> None:
    gpus.close()
    gpus.read_blocking()
    gpus.close()
    gpus.close()
