"""Orders that did not fit on a full disk: a server carries them out, and leaves some to the next."""

from collections.abc import Callable, Sequence

from aqueue.folder.layout import Folder
from aqueue.model.events import Notice, Report
from aqueue.model.outcome import End
from aqueue.model.server import Leaving
from aqueue.server.attempts import Attempts
from aqueue.store.orders import Cancel, Leave, Order, OrderFile


class LeftOrders:
    """The orders in the order file, for one server.

    Args:
        server: the server's id.
        leave: is called when an order asks this server to leave.
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

    def confirm_recorded(self, orders: Sequence[Order]) -> None:
        """Remove orders that are now in the database."""
        self._file.remove(orders)
        # They may concern runs of other servers.
        self._folder.ring()

    def obey(self, orders: Sequence[Order]) -> None:
        """Carry out orders that cannot be recorded yet."""
        for order in orders:
            if isinstance(order, Leave):
                if order.server == self._server:
                    self._leave(order.leaving)
            else:
                self._attempts.stop_some({order.run: order.reason})

    def leave_outcomes_to_next_server(self) -> bool:
        """Leave it to the next server to record outcomes for which the disk has no room.

        Returns:
            False if an attempt is still active, or an outcome would be lost.
        """
        if self._attempts.active:
            return False
        stopped = [outcome for outcome in self._attempts.not_recorded if outcome.end is End.STOPPED]
        try:
            # The files of attempts hold their exit codes, but not that they were stopped on request.
            self._file.give([Cancel(one.run.id, one.run.attempt, one.why) for one in stopped])
        except OSError:
            return False
        text = "the disk is still full: the server exits, and the next one records the runs that ended"
        self._report(Notice(text, urgent=True))
        return True
