"""Servers: their records, requests to them, and the adoption of runs."""

import sqlite3
from collections.abc import Collection
from typing import Final

import msgspec

from aqueue.model.run import NOT_YET, Run, State
from aqueue.model.server import Leaving, Server
from aqueue.policy.limits import Limits
from aqueue.store.attempts import Attempts
from aqueue.store.presence import clock_jump
from aqueue.store.rows import RUNS, SERVER, fetch_runs, server_of, server_values
from aqueue.store.runs import Runs

_ENTER: Final = (
    f"INSERT INTO servers ({SERVER}) VALUES ({', '.join(f':{field}' for field in Server.__struct_fields__)})"
)
_NOTE_SERVED: Final = (
    "UPDATE schedules SET handled_until = last FROM (SELECT max(heartbeat_at) AS last FROM servers WHERE {which})"
    " WHERE handled_until < last AND next_due > last"
)
_BEAT: Final = "UPDATE servers SET heartbeat_at = ?, jobs = ?, disabled_by = ? WHERE id = ?"
_ASK_TO_STAY: Final = (
    "UPDATE servers SET wanted_at = ?, raised_to = max(raised_to, ?), stays_for = max(stays_for, ?) WHERE id = ?"
)
_ASK_TO_LEAVE: Final = "UPDATE servers SET leaving = ? WHERE id = ? AND leaving IS NOT ?"
_ADOPT: Final = "UPDATE runs SET server = ?, reason = NULL WHERE id = ?"
_LEFT_BEHIND: Final = f"{RUNS} WHERE state = 'running' AND reason IS NOT NULL ORDER BY +id"
_LEAVE_BEHIND: Final = "UPDATE runs SET reason = ? WHERE id = ? AND reason IS NOT ?"
_RUNNING_ON: Final = "SELECT id, attempt FROM runs WHERE state = 'running' AND server = ?"
_MOVE_WITH_CLOCK: Final = (
    "UPDATE runs SET ready_at = ready_at + :jump WHERE state = 'queued' AND ready_at < :not_yet",
    "UPDATE runs SET started_at = started_at + :jump WHERE state = 'running'",
    "UPDATE attempts SET started_at = started_at + :jump"
    " WHERE finished_at IS NULL AND run IN (SELECT id FROM runs WHERE state = 'running')",
    "UPDATE servers SET started_at = started_at + :jump, heartbeat_at = heartbeat_at + :jump",
    "UPDATE outbox SET due_at = due_at + :jump, sent_at = sent_at + :jump",
    "UPDATE watched_groups SET since = min(since, since + :jump)",
)


class Servers:
    """The servers of a folder.

    Args:
        transaction: a connection inside a transaction; a writing one for all changes.
    """

    def __init__(self, transaction: sqlite3.Connection, runs: Runs, attempts: Attempts) -> None:
        self._transaction = transaction
        self._execute = transaction.execute
        self._runs = runs
        self._attempts = attempts

    def all(self) -> list[Server]:
        """Return all recorded servers, including dead ones."""
        return [server_of(row) for row in self._execute(f"SELECT {SERVER} FROM servers ORDER BY started_at")]

    def get(self, id_: str) -> Server | None:
        """Return the record of a server; None if it has left."""
        row = self._execute(f"SELECT {SERVER} FROM servers WHERE id = ?", (id_,)).fetchone()
        return server_of(row) if row else None

    def enter(self, server: Server) -> None:
        """Record a server."""
        self._note_served("1")
        self._execute(_ENTER, server_values(server))

    def leave(self, server: str) -> None:
        """Remove the record of a server. Its runs stay with it until another adopts them."""
        self._note_served("id = ?", server)
        self._execute("DELETE FROM servers WHERE id = ?", (server,))

    def beat(self, server: str, limits: Limits, now: float) -> None:
        """Record a server's heartbeat and current limits."""
        self._execute(_BEAT, (now, limits.jobs, limits.disabled_by, server))

    def running_on(self, server: str) -> set[tuple[int, int]]:
        """Return the run ids and attempt numbers of a server."""
        return set(self._execute(_RUNNING_ON, (server,)))

    def adopt(
        self, heir: str, fresh: Collection[str], gone: Collection[str], *, executor: str = "local"
    ) -> list[tuple[Run, str]]:
        """Assign the runs of gone and stale servers to `heir`, if it has their executor.

        Other runs stay assigned to their server: an executor would take another's attempt for lost, and the run
        would be started again. If that server is gone, the reason of the run says so.

        Args:
            fresh: the ids of the servers with a fresh heartbeat, `heir` among them.
            gone: the ids of the servers that have exited; their records are removed.
            executor: the name of the executor of `heir`.

        Returns:
            the runs, each with the boot in which its server started; empty if unknown.
        """
        boots = {server.id: server.boot for server in self.all()}
        adopted = []
        for run in self._runs.in_state(State.RUNNING):
            if run.server in fresh:
                continue
            started_by = self._attempts.executor(run)
            if started_by == executor:
                self._execute(_ADOPT, (heir, run.id))
                one = msgspec.structs.replace(run, server=heir, reason=None)
                adopted.append((one, boots.get(run.server or "", "")))
            elif run.server in gone or run.server not in boots:
                why = f"its server is gone; it waits for one that has its executor {started_by!r}"
                self._execute(_LEAVE_BEHIND, (why, run.id, why))
        for server in gone:
            self.leave(server)
        return adopted

    def left_behind(self) -> list[Run]:
        """Return the running runs whose server is gone and whose executor no other server has had."""
        return fetch_runs(self._transaction, _LEFT_BEHIND)

    # Requests to servers

    def ask_to_stay(self, server: str, jobs: int, stays_for: float, now: float) -> None:
        """Ask a server for at least `jobs` runs at a time, and to stay for `stays_for` seconds without work."""
        self._execute(_ASK_TO_STAY, (now, jobs, stays_for, server))

    def ask_to_leave(self, server: str, leaving: Leaving) -> None:
        """Ask a server to leave. A request to leave at once is never weakened."""
        self._execute(_ASK_TO_LEAVE, (leaving, server, Leaving.AT_ONCE))

    # The clock

    def clock_jump(self, boot: str, ahead: float) -> float:
        """Return the seconds by which the wall clock was set since a server last checked; 0.0 if it was not.

        Args:
            boot: this boot of the machine; nothing is known about the clock before it.
            ahead: seconds by which the wall clock is ahead of the time since boot.
        """
        return clock_jump(self._transaction, boot, ahead)

    def follow_set_clock(self, boot: str, ahead: float) -> None:
        """Shift the times of unfinished runs with the wall clock, if it was set since the last check.

        The first server to notice does this for all. Times of ended runs stay as they are.

        Args:
            boot: this boot of the machine; nothing is known about the clock before it.
            ahead: seconds by which the wall clock is ahead of the time since boot.
        """
        jump = self.clock_jump(boot, ahead)
        known = self._execute("SELECT boot FROM clock").fetchone()
        if known == (boot,) and not jump:
            return
        self._execute("DELETE FROM clock")
        self._execute("INSERT INTO clock (boot, ahead) VALUES (?, ?)", (boot, ahead))
        if jump:
            for statement in _MOVE_WITH_CLOCK:
                self._execute(statement, {"jump": jump, "not_yet": NOT_YET})

    def _note_served(self, which: str, *values: str) -> None:
        """Record that no due time was missed while these servers were up, even if files change before the next."""
        self._execute(_NOTE_SERVED.format(which=which), values)
