"""Signs of life of servers. Nothing that takes long to import: `aqueue add` asks for them, too."""

import sqlite3

# As in `typing`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

SET_SECONDS: "Final" = 1.0
"""The seconds by which the wall clock has to be set to be noticed."""

_ALL: "Final" = "SELECT id, pid, heartbeat_at, leaving FROM servers ORDER BY started_at"


class Presence:
    """The signs that a server is running.

    Attributes:
        id: names the file that it keeps locked while it lives.
        heartbeat_at: its last sign of life, in seconds since the epoch.
        leaving: how it is to exit; None unless it has been asked to.
    """

    def __init__(self, id_: str, pid: int, heartbeat_at: float, leaving: str | None) -> None:
        self.id = id_
        self.pid = pid
        self.heartbeat_at = heartbeat_at
        self.leaving = leaving


def presences(transaction: sqlite3.Connection) -> list[Presence]:
    """Return all servers that entered and did not leave, dead ones included."""
    return [Presence(*row) for row in transaction.execute(_ALL)]


def clock_jump(transaction: sqlite3.Connection, boot: str, ahead: float) -> float:
    """Return by how many seconds the wall clock was set since a server looked last; 0.0 if it was not.

    Args:
        boot: names this boot of the machine; after another, nothing can be said.
        ahead: seconds by which the wall clock is ahead of the time since that boot.
    """
    known = transaction.execute("SELECT ahead FROM clock WHERE boot = ?", (boot,)).fetchone()
    jump = 0.0 if known is None or not boot else ahead - known[0]
    # A clock that is only slowed down or sped up drifts by far less.
    return float(jump) if abs(jump) > SET_SECONDS else 0.0
