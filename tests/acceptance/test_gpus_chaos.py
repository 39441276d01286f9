"""Servers are killed while GPU runs go on: no card is ever given twice, and none is lost.

AQUEUE_CHAOS_GPU_SECONDS says for how long, and AQUEUE_CHAOS_SEED repeats the choices of an earlier time.
"""

import os
import random
import time

import pytest

from tests.acceptance.driving import Place, Server
from tests.acceptance.gpu_company import Ledger, cards_of, probes, states
from tests.nvml.fake import FakeCards
from tests.waiting import eventually

SECONDS = float(os.environ.get("AQUEUE_CHAOS_GPU_SECONDS", "6"))
SEED = int(os.environ.get("AQUEUE_CHAOS_SEED", str(random.randrange(1 << 32))))

pytestmark = pytest.mark.at_length


def grows(place: Place, name: str) -> None:
    """Wait until a file beside the folder has more lines than now."""
    lines = len(place.lines(name))
    eventually(lambda: len(place.lines(name)) > lines)


@pytest.mark.timeout(SECONDS * 4 + 120)
@pytest.mark.parametrize("slots", [1, 2])
def test_no_card_is_given_twice_and_none_is_lost_when_one_of_two_servers_is_killed(
    place: Place, slots: int
) -> None:
    print(f"AQUEUE_CHAOS_SEED={SEED}")
    chance = random.Random(SEED)
    ledger = Ledger(place)
    cards_of(place, *FakeCards.cards(4))
    place.drop("aqueue.yaml", f"heartbeat: {{interval: 0.2s}}\ngpus: {{slots: {slots}}}\n")
    servers: list[Server] = [place.serve("-j", "9") for _ in range(2)]
    dropped = 0
    deadline = time.monotonic() + SECONDS / 2
    while time.monotonic() < deadline:
        for _ in range(chance.choice([1, 2, 6])):
            wanted = chance.choice(["1", "1", "1", "2", "3", "4", "[0]", "[1, 3]"])
            place.task(f"t{dropped}", ledger.command(chance.choice([0.0, 0.05, 0.3])), f"gpus: {wanted}")
            dropped += 1
        if chance.random() < 0.8:
            grows(place, "ledger")
        victim = servers.pop(chance.randrange(2))
        assert victim.process.poll() is None, victim.text
        victim.kill()
        servers.append(place.serve("-j", "9", wait=chance.random() < 0.5))
    place.drop("last.yaml", f"name: last\ncommand: {ledger.command(0)!r}\ngpus: 4\n")
    place.becomes("last", "succeeded", seconds=SECONDS * 3 + 30)
    eventually(lambda: all(row["state"] == "succeeded" for row in place.ls()), SECONDS * 3 + 30)
    assert ledger.check(slots) == dropped + 1
    assert len(place.ls()) == dropped + 1
    assert states(place) == ["free"] * 4
    for server in servers:
        server.kill()
    eventually(lambda: not probes(place))
