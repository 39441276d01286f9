"""Ctrl-C and SIGTERM: the first drains a server, the second stops its runs, the third leaves them running."""

import contextlib
import signal
from collections.abc import Callable, Iterator

import anyio
import anyio.abc

from aqueue.model.events import Notice, Report
from aqueue.server.dispatcher import Dispatcher
from aqueue.server.membership import STOPPED, Membership
from aqueue.units import counted, plural


async def obey_signals(
    dispatcher: Dispatcher,
    membership: Membership,
    grace: Callable[[], float],
    report: Report,
    leave: Callable[[], None],
    *,
    task_status: anyio.abc.TaskStatus[None],
) -> None:
    """Obey each Ctrl-C or SIGTERM until the server leaves.

    Args:
        grace: the seconds between SIGTERM and SIGKILL.
        leave: makes the server leave at once.
    """
    with _ignoring_signals_afterwards(), anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async with anyio.create_task_group() as tasks:
            count = 0
            async for _ in signals:
                count += 1
                if count == 1:
                    dispatcher.drain()
                    tasks.start_soon(membership.announce_leaving)
                    _report_running(dispatcher.running, report)
                elif count == 2:
                    report(Notice(f"stopping all runs; those still running after {grace():.0f} s are killed"))
                    dispatcher.stop_runs(STOPPED)
                else:
                    report(Notice("the server exits; its runs go on, and the next server takes them over"))
                    leave()
                    return


def _report_running(running: int, report: Report) -> None:
    if running:
        runs, them = counted(running, "run"), plural(running, "it", "them")
        again = f"press Ctrl-C again to stop {them}, a third time to leave {them} running"
        report(Notice(f"waiting for {runs} to end; {again}"))


@contextlib.contextmanager
def _ignoring_signals_afterwards() -> Iterator[None]:
    """Ignore signals after the block: the server is leaving, and Ctrl-C must not interrupt that."""
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
