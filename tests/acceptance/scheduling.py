"""Schedules as a person has them, under a wall clock that the test sets; all times of day are in UTC."""

import contextlib
import json
import math
import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from tests.acceptance.driving import Place, Row, Server
from tests.acceptance.wallclock import WallClock
from tests.waiting import eventually

DAY = datetime(2030, 5, 1, tzinfo=UTC)
"""A Wednesday."""

STILL = "queue: still"
"""The queue that the configuration keeps from starting anything."""

MAX_MINUTES = "0-49 * * * *"
"""A thousand times in 20 hours, and none in the last minutes of each."""

_IS_SCHEDULE = re.compile("^(schedule|at):", re.MULTILINE)


class Made(NamedTuple):
    """A run that a schedule made."""

    name: str
    due: str
    trigger: str


def at(time: str, days: int = 0) -> datetime:
    """A time of day, such as `12:30` or `12:30:59.5`; so many days after the first."""
    hours, minutes, *seconds = time.split(":")
    day = DAY + timedelta(days=days, hours=int(hours), minutes=int(minutes))
    return day + timedelta(seconds=float(*seconds))


def every(minutes: int, first: datetime, last: datetime) -> list[str]:
    """The due times from the first to the last."""
    count = (last - first) // timedelta(minutes=minutes) + 1
    return [_spell(first + timedelta(minutes=minutes * number)) for number in range(count)]


def most_minutes(first: datetime, last: datetime) -> list[str]:
    """The due times of `MAX_MINUTES`."""
    return [due for due in every(1, first, last) if due[3:5] < "50"]


def caught_up(name: str, *dues: str) -> list[Made]:
    return [Made(name, due, "catchup") for due in dues]


def live(name: str, *dues: str) -> list[Made]:
    return [Made(name, due, "scheduler") for due in dues]


class ClockedPlace(Place):
    """A place for schedules, with the wall clock of all that is started there."""

    def __init__(self, base: Path) -> None:
        super().__init__(base)
        self.clock = WallClock(base / ".clock")
        self.environment |= self.clock.environment
        self.configure()

    def configure(self, queues: str = "config: [{name: still, paused: true}]", *more: str) -> None:
        lines = ("timezone: UTC", "heartbeat: {interval: 0.1s, stale_after: 2s}", f"queues: {{{queues}}}", *more)
        self.drop("aqueue.yaml", "\n".join([*lines, ""]))

    def schedule(self, name: str, expression: str, *more: str, command: str = "true") -> None:
        """Drop a file with one schedule."""
        self.task(name, command, f"schedule: {json.dumps(expression)}", *more)

    def serve_at(self, time: str | datetime, *options: str) -> Server:
        """Start a server at that time of day; returns when it has done all that was due by then."""
        self.clock.set(at(time) if isinstance(time, str) else time)
        server = self.serve(*options)
        self.settle()
        return server

    def reach(self, time: str) -> None:
        """Have that time of day come; returns when all that is due then is done."""
        self.approach(time)
        eventually(lambda: self.clock.now() >= at(time).timestamp())
        self.settle()

    def approach(self, time: str) -> None:
        """Have it be just before that time of day."""
        self.clock.set(at(time).timestamp() - 0.4)

    def settle(self) -> None:
        """Wait until the servers have seen what time it is, know all schedules, and have nothing due any more."""
        since = self.clock.now()
        eventually(lambda: self._have_seen(since) and self._is_settled())

    def make(self, *expected: Made) -> None:
        """Wait until schedules have made as many runs as that; then all that they ever made must be just those."""
        self.wait_for(len(expected))
        self.settle()
        assert sorted(self.made()) == sorted(expected)

    def made(self) -> list[Made]:
        """All runs of schedules, in the order in which they were made."""
        return [made for made, _ in self._made()]

    def states(self, name: str, trigger: str = "scheduler") -> dict[str, str]:
        """The states of the runs of a schedule, by their due times."""
        return {made.due: state for made, state in self._made() if (made.name, made.trigger) == (name, trigger)}

    def count(self) -> int:
        """Return the number of runs that schedules have made so far."""
        ((count,),) = self._query("SELECT count(*) FROM runs WHERE scheduled_for IS NOT NULL")
        return int(count)

    def wait_for(self, count: int) -> None:
        """Wait until schedules have made so many runs, or more."""
        eventually(lambda: self.count() >= count)

    def lateness(self, name: str) -> float:
        """Return by how many seconds the newest run of a schedule was late."""
        ((seconds,),) = self._query(
            "SELECT started_at - scheduled_for FROM runs WHERE name = ? ORDER BY id DESC LIMIT 1", name
        )
        return float(seconds)

    def schedules(self) -> dict[str, Row]:
        """Return the JSON of `aqueue schedules`, by name."""
        rows: list[Row] = json.loads(self.run("schedules", "--json"))
        found = {row["name"]: row for row in rows}
        assert len(found) == len(rows)
        return found

    def next(self, name: str) -> str:
        """Return when a schedule is due next, as a time of day; empty if it is not due any more."""
        due = self.schedules()[name]["next"]
        return datetime.fromisoformat(due[0]).astimezone(UTC).strftime("%H:%M") if due else ""

    def _have_seen(self, moment: float) -> bool:
        living = {process.pid for process in self.processes if process.poll() is None}
        beats = self._query("SELECT pid, heartbeat_at FROM servers")
        return all(moment <= at < moment + 60.0 for pid, at in beats if pid in living)

    def _is_settled(self) -> bool:
        rows = self._query("SELECT file, next_due, missed_at FROM schedules WHERE file IS NOT NULL")
        now = self.clock.now()
        if any((next_due or math.inf) <= now or missed_at for _, next_due, missed_at in rows):
            return False
        there = [path for path in self.folder.glob("**/*.yaml") if {"rejected", ".aqueue"}.isdisjoint(path.parts)]
        written = {str(path.relative_to(self.folder)) for path in there if _IS_SCHEDULE.search(path.read_text())}
        return written == {file for file, _, _ in rows}

    def _made(self) -> Iterator[tuple[Made, str]]:
        # As `ls` has them; but there may be thousands.
        columns = "name, run_id, scheduled_for, trigger, state"
        for name, run_id, scheduled_for, trigger, state in self._query(
            f"SELECT {columns} FROM runs WHERE scheduled_for IS NOT NULL ORDER BY id"
        ):
            due = datetime.fromtimestamp(scheduled_for, UTC)
            assert run_id == f"{due:%Y%m%dT%H%M%SZ}"
            yield Made(name, _spell(due), trigger), state

    def _query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        database = f"file:{self.state / 'state.db'}?mode=ro"
        with contextlib.closing(sqlite3.connect(database, uri=True)) as connection:
            return connection.execute(sql, values).fetchall()


def _spell(moment: datetime) -> str:
    days = (moment - DAY).days
    return f"{moment:%H:%M}" + (f" +{days}" if days else "")
