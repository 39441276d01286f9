"""Servers are killed again and again at random moments; still every file is run exactly once.

AQUEUE_CHAOS_SECONDS says for how long, and AQUEUE_CHAOS_SEED repeats the choices of an earlier time.
"""

import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.acceptance.driving import OVER, Place, Server
from tests.acceptance.mounting import bind_mount
from tests.waiting import eventually

SECONDS = float(os.environ.get("AQUEUE_CHAOS_SECONDS", "12"))
SEED = int(os.environ.get("AQUEUE_CHAOS_SEED", str(random.randrange(1 << 32))))


class Chaos:
    """Drops files, and remembers which task must end with which exit code.

    Args:
        ways: the paths by which servers reach the folder.
    """

    def __init__(self, place: Place, ways: Sequence[Path]) -> None:
        self.place = place
        self._ways = ways
        self.random = random.Random(SEED)
        self.expected: dict[str, int] = {}
        self._files = 0

    def drop(self, files: int) -> None:
        for _ in range(files):
            self._files += 1
            documents = [self._document() for _ in range(self.random.choice([1, 1, 1, 3]))]
            lane = self.random.choice(["", "", "lane/"])
            self.place.drop(f"{lane}f{self._files}.yaml", "---\n".join(documents))

    def _document(self) -> str:
        name = f"t{len(self.expected)}"
        code = self.expected[name] = self.random.choice([0, 0, 1, 3, 75, 255])
        seconds = self.random.choice([0.0, 0.0, 0.0, 0.01, 0.2])
        script = f"echo {name} | tee -a ledger; sleep {seconds}; exit {code}"
        if self.random.random() < 0.2:
            script = f"[env, -i, sh, -c, '{script}']"
        return f"name: {name}\ncommand: {script}\n"

    def pause(self, most: float) -> None:
        # Short pauses more often than long ones: the steps of accepting take a few milliseconds.
        time.sleep(most * self.random.random() ** 3)

    def serve(self) -> Server:
        way = self.random.choice(self._ways)
        return self.place.serve("-j", str(self.random.randint(1, 6)), str(way), wait=False)

    def strike(self) -> None:
        """One server or two, files before, during and after their start, and an end without warning."""
        servers = [self.serve() for _ in range(self.random.choice([1, 1, 2]))]
        if self.random.random() < 0.75:
            for server in servers:
                server.says("serving ")
        for _ in range(self.random.randint(0, 3)):
            self.drop(self.random.choice([1, 1, 3, 20]))
            self.pause(0.05)
        self.pause(self.random.choice([0.01, 0.1, 1.0]))
        self.random.shuffle(servers)
        for server in servers:
            # Nothing but the kill ends a server: not even what the other one does.
            assert server.process.poll() is None, server.text
            server.kill()
            self.pause(0.1)


@pytest.fixture
def ways(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Path]]:
    """The folder's path, and another over a bind mount where this user can have one."""
    mounted = tmp_path_factory.mktemp("again") / "mounted"
    with bind_mount(place.base, mounted) as is_mounted:
        yield [place.folder, mounted / "queue"] if is_mounted else [place.folder]


# Draining takes about as long again, on a slow disk longer.
@pytest.mark.timeout(SECONDS * 4 + 120)
def test_every_file_is_run_exactly_once_whenever_servers_are_killed(place: Place, ways: list[Path]) -> None:
    print(f"AQUEUE_CHAOS_SEED={SEED}")
    place.init()
    # Of two servers the one that is left takes over soon.
    (place.folder / "aqueue.yaml").write_text("heartbeat: {interval: 0.2s}\n")
    chaos = Chaos(place, ways)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        chaos.strike()
    place.drain("-j", "6", seconds=SECONDS * 3 + 60)

    ran = Counter(place.lines("ledger"))
    assert {name: count for name, count in ran.items() if count != 1} == {}
    assert set(ran) == set(chaos.expected)
    rows = place.rows()
    told = {name: row["exit_code"] for name, row in rows.items() if row["state"] in OVER}
    assert told == chaos.expected
    assert {row["name"] for row in rows.values() if place.output(row) != f"{row['name']}\n"} == set()
    assert all((row["state"] == "succeeded") is (row["exit_code"] == 0) for row in rows.values())
    # What remains to be done after the last transaction is done by the next server, if not by this one.
    place.drain()
    assert list((place.state / "incoming").iterdir()) == []
    assert not [path for path in place.folder.rglob("*.yaml") if path.name[0] == "f"]
    assert not (place.folder / "rejected").exists()
    eventually(lambda: not place.processes_of_runs())


def test_what_is_killed_while_it_takes_over_is_taken_over_by_the_next(place: Place) -> None:
    server = place.serve("-j", "8")
    for number in range(8):
        place.task(f"t{number}", f"echo {number} >>ledger; {place.until('go')}; exit {number}")
    eventually(lambda: len(place.lines("ledger")) == 8)
    server.kill()
    for patience in (0.1, 0.15, 0.2, 0.22, 0.24, 0.26, 0.3):
        heir = place.serve("-j", "8", wait=False)
        with contextlib.suppress(Exception):
            heir.process.wait(patience)
        heir.kill()
    place.path("go").touch()
    place.drain("-j", "8")
    rows = place.rows()
    assert {name: row["exit_code"] for name, row in rows.items()} == {f"t{number}": number for number in range(8)}
    assert {row["attempt"] for row in rows.values()} == {1}
    assert sorted(place.lines("ledger")) == [str(number) for number in range(8)]
