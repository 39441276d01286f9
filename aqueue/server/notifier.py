"""The notifier: sends the messages of the outbox, beside the loop and never in its way; see `aqueue.notify`."""

import math
import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

import anyio
import anyio.abc

from aqueue.errors import DatabaseError
from aqueue.model.events import Notice
from aqueue.model.notification import Target
from aqueue.notify.delivery import deliver
from aqueue.server.context import Context
from aqueue.store.outbox import Claimed
from aqueue.store.store import Store

_LEAVE_SECONDS: Final = 10.0
"""The seconds for which a server that leaves waits for its messages to be sent."""

_DATABASE_SECONDS: Final = 30.0
"""The seconds after which it looks again if the database cannot be written."""


class Notifier:
    """The sending of messages by one server.

    Args:
        targets: returns the configured targets.
        reschedule: is called after a change of `next_at`.
    """

    def __init__(
        self, context: Context, targets: Callable[[], Sequence[Target]], reschedule: Callable[[], None]
    ) -> None:
        self._folder, self._database, self._server, self._clock, self._report = context
        self._targets = targets
        self._reschedule = reschedule
        self._awake = anyio.Event()
        self._idle = anyio.Event()
        self._active = 0
        self.next_at = math.inf
        """When to look for messages if none comes before, on the monotonic clock."""

    def wake(self) -> None:
        """Look for messages now."""
        self._awake.set()

    async def resume(self) -> None:
        """Look for messages, as is due at `next_at`."""
        self.next_at = math.inf
        self.wake()

    async def run(self) -> None:
        """Send messages until cancelled."""
        async with anyio.create_task_group() as tasks:
            while True:
                # Replaced before the look, so that a message that comes meanwhile causes another.
                self._awake = anyio.Event()
                await self._look(tasks)
                await self._awake.wait()

    async def finish(self) -> None:
        """Wait until the messages that are due now were tried, but not for long."""
        if not self._targets():
            return
        with anyio.move_on_after(_LEAVE_SECONDS):
            self._idle = anyio.Event()
            self.wake()
            await self._idle.wait()

    async def _look(self, tasks: anyio.abc.TaskGroup) -> None:
        """Claim what is to be sent now, and start sending it."""
        targets = {target.name: target for target in self._targets()}
        if not targets:
            return
        now = self._clock.now()

        def claim(connection: sqlite3.Connection) -> tuple[list[Claimed], float | None]:
            return Store(connection).outbox.claim(self._server, [*targets.values()], now)

        try:
            claimed, next_at = await self._database.write(claim, is_small=True)
        except DatabaseError:
            claimed, next_at = [], now + _DATABASE_SECONDS
        self._active += len(claimed)
        for one in claimed:
            tasks.start_soon(self._send, one, targets[one.target])
        self.next_at = math.inf if next_at is None else self._clock.monotonic() + max(next_at - now, 0.0)
        self._reschedule()
        if not self._active:
            self._idle.set()

    async def _send(self, one: Claimed, target: Target) -> None:
        error = await deliver(self._folder, target, one.message)
        now = self._clock.now()

        def record(connection: sqlite3.Connection) -> float | None:
            outbox = Store(connection).outbox
            if error is None:
                outbox.sent(one.id, now)
                return None
            return outbox.failed(one, error, now)

        try:
            due_at = await self._database.write(record, is_small=True)
        except DatabaseError:
            # It is sent again, with the same id.
            pass
        else:
            if error is not None:
                what = "it is given up" if due_at is None else "it is tried again"
                self._report(Notice(f"notify {target.name}: {error}; {what}", urgent=True))
        self._active -= 1
        # There may be another message for this target.
        self.wake()
