"""Servers that start queued runs: those that are up, and those without a sign of life. `aqueue add` imports it."""

from collections.abc import Iterable, Sequence

from aqueue.folder import server_locks
from aqueue.folder.layout import Folder
from aqueue.model.basics import NO_SERVER

# As in `typing`, which takes a while to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    from aqueue.model.server import Server
    from aqueue.store.presence import Presence

    S = TypeVar("S", Server, Presence)


def parted(servers: "Iterable[S]", where: Folder, moment: float, stale_after: float) -> "tuple[list[S], list[S]]":
    """Return the servers that are up: those that give signs of life, and those that do not.

    Args:
        moment: the time by the clock that the store goes by.
        stale_after: seconds without a sign of life after which there is none.
    """
    awake: list[S] = []
    silent: list[S] = []
    for server in servers:
        if server_locks.is_up(where.servers_text, server.id):
            (silent if moment - server.heartbeat_at > stale_after else awake).append(server)
    return awake, silent


def unserved(awake: "Sequence[Server | Presence]", silent: "Sequence[Server | Presence]") -> str | None:
    """Return why a run will have to wait for a server; None if one is there."""
    if silent and not awake:
        return f"server {silent[0].pid} is not responding: queued runs start once a server responds"
    if not awake:
        return f"{NO_SERVER}: queued runs start once you run `aqueue serve`"
    if all(server.leaving is not None for server in awake):
        return f"server {awake[0].pid} is stopping: queued runs start once you run `aqueue serve`"
    return None
