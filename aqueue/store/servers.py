"""What changes servers and pauses: who is up and what is asked of them, which queues start nothing."""

from collections.abc import Collection

import msgspec

from aqueue.errors import ScheduleError
from aqueue.model.run import NOT_YET, Run, State
from aqueue.model.server import Leaving, Server
from aqueue.policy.limits import Limits
from aqueue.store.gpus import GpuQueries
from aqueue.store.runs import as_json


class Servers(GpuQueries):
    """What aqueue remembers of those who do the work.

    Args:
        connection: inside a transaction that may write.
    """

    def enter(self, server: Server) -> None:
        """Remember a server."""
        self._note_served("1")
        fields = msgspec.structs.asdict(server)
        fields["queues"] = None if server.queues is None else as_json(server.queues)
        fields["owns"] = as_json(server.owns)
        values = ", ".join(f":{field}" for field in fields)
        self._execute(f"INSERT INTO servers ({', '.join(fields)}) VALUES ({values})", fields)

    def leave(self, server: str) -> None:
        """Forget a server. Its runs stay with it until another adopts them."""
        self._note_served("id = ?", server)
        self._execute("DELETE FROM servers WHERE id = ?", (server,))

    def _note_served(self, which: str, *values: str) -> None:
        """Note that nothing was missed while these servers were up, whatever files say when the next one comes."""
        self._execute(
            "UPDATE schedules SET handled_until = last"
            f" FROM (SELECT max(heartbeat_at) AS last FROM servers WHERE {which})"
            " WHERE handled_until < last AND next_due > last",
            values,
        )

    def beat(self, server: str, limits: Limits, now: float) -> None:
        """Record a server's sign of life, and what it may start."""
        self._execute(
            "UPDATE servers SET heartbeat_at = ?, jobs = ?, disabled_by = ? WHERE id = ?",
            (now, limits.jobs, limits.disabled_by, server),
        )

    def adopt(self, heir: str, fresh: Collection[str], gone: Collection[str]) -> list[tuple[Run, str]]:
        """Give `heir` the runs of servers that are gone, or give no sign of life.

        Args:
            fresh: the ids of the servers that do give one; `heir` is one of them.
            gone: the ids of those that will never do again, and are forgotten.

        Returns:
            the runs, each with the boot that its server was started in; empty if that is not known.
        """
        boots = {server.id: server.boot for server in self.servers()}
        adopted = []
        for run in self.in_state(State.RUNNING):
            if run.server not in fresh:
                self._execute("UPDATE runs SET server = ? WHERE id = ?", (heir, run.id))
                adopted.append((msgspec.structs.replace(run, server=heir), boots.get(run.server or "", "")))
        for server in gone:
            self.leave(server)
        return adopted

    def follow_set_clock(self, boot: str, ahead: float) -> None:
        """Move the moments of what goes on with the wall clock, if it was set since somebody looked last.

        Whoever notices first does it for all servers. Moments in the past of what is over stay as they were.

        Args:
            boot: names this boot of the machine; after another, nothing can be said.
            ahead: seconds by which the wall clock is ahead of the time since that boot.
        """
        jump = self.clock_jump(boot, ahead)
        known = self._execute("SELECT boot FROM clock").fetchone()
        if known == (boot,) and not jump:
            return
        self._execute("DELETE FROM clock")
        self._execute("INSERT INTO clock (boot, ahead) VALUES (?, ?)", (boot, ahead))
        if jump:
            values = {"jump": jump, "not_yet": NOT_YET}
            self._execute(
                "UPDATE runs SET ready_at = ready_at + :jump WHERE state = 'queued' AND ready_at < :not_yet",
                values,
            )
            self._execute("UPDATE runs SET started_at = started_at + :jump WHERE state = 'running'", values)
            self._execute(
                "UPDATE servers SET started_at = started_at + :jump, heartbeat_at = heartbeat_at + :jump", values
            )

    def held_by(self, server: str) -> set[tuple[int, int]]:
        """The runs that a server runs, each with the number of its attempt."""
        return set(self._execute("SELECT id, attempt FROM runs WHERE state = 'running' AND server = ?", (server,)))

    def want(self, server: str, jobs: int, stays_for: float, now: float) -> None:
        """Ask a server to have so many jobs at least, and to stay for so many seconds without work."""
        self._execute(
            "UPDATE servers SET wanted_at = ?, raised_to = max(raised_to, ?), stays_for = max(stays_for, ?)"
            " WHERE id = ?",
            (now, jobs, stays_for, server),
        )

    def send_away(self, server: str, leaving: Leaving) -> None:
        """Ask a server to leave. One that is to go at once is not told otherwise any more."""
        self._execute(
            "UPDATE servers SET leaving = ? WHERE id = ? AND leaving IS NOT ?", (leaving, server, Leaving.AT_ONCE)
        )

    def pause(self, queue: str) -> None:
        """Have nothing of `queue` started until it is resumed."""
        self._execute("INSERT OR IGNORE INTO pauses (queue) VALUES (?)", (queue,))

    def resume(self, queue: str) -> bool:
        """Let `queue` go on.

        Returns:
            whether it was paused.
        """
        return bool(self._execute("DELETE FROM pauses WHERE queue = ?", (queue,)).rowcount)

    def pause_schedule(self, name: str, now: float) -> None:
        """Have no runs of a schedule made until it is resumed; what it has missed by now waits, too.

        Raises:
            ScheduleError: there is no such schedule.
        """
        self._require_schedule(name)
        # One that was resumed just now is not due: nobody has found out yet when it will be.
        is_due = "next_due <= :now AND next_due > handled_until"
        self._execute(
            "UPDATE schedules SET paused = 1, next_due = NULL, missed_after ="
            f" iif({is_due}, coalesce(missed_after, max(handled_until, counts_from)), missed_after),"
            f" missed_at = iif({is_due}, :now, missed_at) WHERE name = :name AND NOT paused",
            {"name": name, "now": now},
        )

    def resume_schedule(self, name: str, now: float) -> bool:
        """Let a schedule go on, from now on.

        Returns:
            whether it was paused.

        Raises:
            ScheduleError: there is no such schedule.
        """
        self._require_schedule(name)
        # A server finds out when it is really due next.
        return bool(
            self._execute(
                "UPDATE schedules SET paused = 0, handled_until = max(handled_until, :now),"
                " counts_from = max(counts_from, :now), next_due = :now"
                " WHERE name = :name AND paused",
                {"name": name, "now": now},
            ).rowcount
        )

    def _require_schedule(self, name: str) -> None:
        stored = self.schedule(name)
        if stored is None or stored.file is None:
            raise ScheduleError(f"there is no schedule {name}", "`aqueue schedules` shows which there are")
