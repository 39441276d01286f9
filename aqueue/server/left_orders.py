"""Orders that the database could not take: how a server obeys them, and leaves some to the next."""

from collections.abc import Callable, Sequence

from aqueue.folder.layout import Folder
from aqueue.model.events import Notice, Report
from aqueue.model.outcome import End
from aqueue.model.server import Leaving
from aqueue.server.attempts import Attempts
from aqueue.store.orders import Cancel, Leave, Order, OrderFile


class LeftOrders:
    """The orders in the file of a folder, for one server.

    Args:
        server: the server's id.
        leave: is called when an order has this server leave.
    """

    def __init__(
        self,
        folder: Folder,
        server: str,
        attempts: Attempts,
        leave: Callable[[Leaving], None],
        report: Report,
    ) -> None:
        self._folder = folder
        self._file = OrderFile(str(folder.orders))
        self._report = report
        self._server = server
        self._attempts = attempts
        self._leave = leave

    def read(self) -> Sequence[Order]:
        """Return the orders in the file."""
        return self._file.read()

    def have_been_recorded(self, orders: Sequence[Order]) -> None:
        """Remove orders that the database has now."""
        self._file.remove(orders)
        # They may be about runs of other servers.
        self._folder.ring()

    def obey(self, orders: Sequence[Order]) -> None:
        """Carry out orders that cannot be recorded yet."""
        for order in orders:
            if isinstance(order, Leave):
                if order.server == self._server:
                    self._leave(order.leaving)
            else:
                self._attempts.stop_some({order.run: order.reason})

    def leave_ends_to_next_server(self) -> bool:
        """Leave it to the next server to record the ends of attempts, for which the disk has no room.

        Returns:
            False if an attempt goes on, or its end could not be told later.
        """
        if self._attempts.going_on:
            return False
        stopped = [outcome for outcome in self._attempts.not_recorded if outcome.end is End.STOPPED]
        try:
            # Their files hold their exit codes, but not that somebody wanted them stopped.
            self._file.give([Cancel(one.run.id, one.run.attempt, one.why) for one in stopped])
        except OSError:
            return False
        self._report(Notice("leaving; the next server records what has ended, once there is room", urgent=True))
        return True
