"""The surroundings of a dispatcher: where its server is at work, and what the server does for it."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from aqueue.clock import Clock
from aqueue.folder.layout import Folder
from aqueue.model.events import Report
from aqueue.model.notification import Target
from aqueue.model.server import Leaving, Server
from aqueue.policy.limits import Limits
from aqueue.server.cycle import CheckLiveness
from aqueue.server.cycle_result import Liveness
from aqueue.store.server_database import Database


class Context(NamedTuple):
    """The place and time of a server's work.

    Attributes:
        server: the server's id.
    """

    folder: Folder
    database: Database
    server: str
    clock: Clock
    report: Report


class Callbacks(NamedTuple):
    """The calls from a dispatcher to its server.

    Attributes:
        limits: returns the limits in force; is called in each cycle.
        check_liveness: returns which servers are up and which are gone; has no side effects.
        clear_gone: removes the files of servers that are gone, once the store has forgotten them.
        after_cycle: is called after each cycle, which may change `next_at`.
        apply_record: receives the store's record of this server when a cycle reads it.
        leave: is called when an order in the order file asks this server to leave.
        publish_shortage: receives why no run can be started; empty once runs start again.
        targets: returns the configured targets of messages.
    """

    limits: Callable[[], Limits]
    check_liveness: CheckLiveness
    clear_gone: Callable[[Liveness], None]
    after_cycle: Callable[[], None]
    apply_record: Callable[[Server], None]
    leave: Callable[[Leaving], None]
    publish_shortage: Callable[[str], None]
    targets: Callable[[], Sequence[Target]]
