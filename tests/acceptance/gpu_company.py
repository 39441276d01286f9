"""A machine with made up GPUs, and what there is to see of its cards and of the runs that have them."""

import contextlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.driving import Place, Row
from tests.nvml.fake import FakeCards
from tests.waiting import eventually

UNSEEN = "error {} nvmlDeviceGetComputeRunningProcesses NOT_SUPPORTED"
"""The words for a card whose processes cannot be seen."""

TOLD = 'echo "$CUDA_DEVICE_ORDER|$CUDA_VISIBLE_DEVICES|$NVIDIA_VISIBLE_DEVICES|$AQUEUE_GPUS"'
"""A command that writes what it is told of its cards."""

_HOST_PIDS = 0xEFFFFFFC

sees_processes = pytest.mark.skipif(
    not Path("/proc/self/ns/pid").exists() or os.stat("/proc/self/ns/pid").st_ino != _HOST_PIDS,
    reason="in a container, the driver's pids say nothing",
)


def cards_of(place: Place, *lines: str) -> FakeCards:
    """Give all that is started in the place these cards."""
    cards = FakeCards(place.base, *lines)
    place.environment.update(cards.environment)
    return cards


def card(index: int, **fields: object) -> str:
    """A statement that there is such a card."""
    known: dict[str, object] = {
        "uuid": f"GPU-{f'{index:x}' * 8}",
        "bus": f"0000:{index + 1:02x}:00.0",
        "total": 24576,
        "used": 0,
        "name": "NVIDIA_A10",
    }
    return f"card {index} " + " ".join(f"{key}={value}" for key, value in (known | fields).items())


def told(place: Place, name: str) -> list[str]:
    """Return what the only run of that name, whose command was `TOLD`, was told of its cards."""
    return place.output(place.rows()[name]).strip().split("|")


def seen(place: Place) -> dict[str, Any]:
    """Return the JSON of `aqueue gpus`."""
    found: dict[str, Any] = json.loads(place.run("gpus", "--json"))
    return found


def states(place: Place) -> list[str]:
    """In which state `aqueue gpus` shows each card."""
    return [one["state"] for one in seen(place)["gpus"]]


def waits(place: Place, name: str, *why: str, seconds: float = 10.0) -> str:
    """Wait until the only run of that name is said to wait for a reason that has all of this in it."""

    def reason() -> str:
        row = place.rows().get(name, {})
        said = str(row.get("waiting_for") or "")
        return said if row.get("state") == "queued" and all(part in said for part in why) else ""

    return eventually(reason, seconds)


def runs(place: Place, name: str, *lines: str) -> Row:
    """Have a run running until there is a file of its name; returns it."""
    place.task(name, place.until(name), *lines)
    return place.becomes(name, "running")


def let_end(place: Place, *names: str) -> None:
    """Have runs that wait for a file of their names end."""
    for name in names:
        place.path(name).touch()
        place.becomes(name, "succeeded")


def probes(place: Place) -> list[int]:
    """The living processes that look at cards for this place."""
    found = []
    runs_of_place = os.fsencode(f"{place.state}/runs")
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit():
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"aqueue.gpus.nvml" in words and runs_of_place in words:
                    found.append(int(entry.name))
    return found


class Ledger:
    """Return the cards of each run, in the order in which they were given."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def command(self, seconds: float) -> str:
        """A command that writes down when it begins and ends, and with which cards."""
        return (
            'echo "begin $AQUEUE_ID $AQUEUE_GPUS" >> ledger;'
            f' sleep {seconds:.2f}; echo "end $AQUEUE_ID $AQUEUE_GPUS" >> ledger'
        )

    def read(self) -> list[tuple[str, str, list[str]]]:
        """Each line: what happened, to which run, with which cards."""
        found = []
        for line in self._place.lines("ledger"):
            match = re.fullmatch(r"(begin|end) (\d+) ([\d,]+)", line)
            assert match, line
            found.append((match[1], match[2], match[3].split(",")))
        return found

    def check(self, slots: int) -> int:
        """No card was ever given to more runs at once than it has slots; returns how many runs there were."""
        on: dict[str, list[str]] = {}
        begun = 0
        for what, run, cards in self.read():
            for one in cards:
                those = on.setdefault(one, [])
                if what == "end":
                    those.remove(run)
                    continue
                assert len(those) < slots, f"card {one} has runs {those}, and {run} was given it too"
                those.append(run)
            begun += what == "begin"
        assert not any(on.values()), on
        return begun
