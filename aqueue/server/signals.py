"""Ctrl-C and SIGTERM: the first drains a server, the second stops its runs, the third leaves them running."""

import contextlib
import signal
from collections.abc import Callable, Iterator

import anyio
import anyio.abc

from aqueue.model.events import Notice, Report
from aqueue.server.dispatcher import Dispatcher
from aqueue.server.membership import STOPPED, Membership
from aqueue.units import counted


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
        grace: for how many seconds a run that is stopped may go on.
        leave: has the server leave at once.
    """
    with _deaf_afterwards(), anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async with anyio.create_task_group() as tasks:
            count = 0
            async for _ in signals:
                count += 1
                if count == 1:
                    dispatcher.drain()
                    tasks.start_soon(membership.tell_others_of_leaving)
                    _say_what_is_waited_for(dispatcher.running, report)
                elif count == 2:
                    report(Notice(f"stopping all runs; those that go on after {grace():.0f} s are killed"))
                    dispatcher.stop_runs(STOPPED)
                else:
                    report(Notice("leaving; runs go on, and the next server takes them over"))
                    leave()
                    return


def _say_what_is_waited_for(running: int, report: Report) -> None:
    if running:
        runs = counted(running, "run")
        report(
            Notice(
                f"waiting for {runs} to end; press Ctrl-C again to stop them, a third time to leave them running"
            )
        )


@contextlib.contextmanager
def _deaf_afterwards() -> Iterator[None]:
    """Once nobody listens any more the server is leaving anyway, and Ctrl-C must not tear it out of that."""
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
