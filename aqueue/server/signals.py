"""Ctrl-C and SIGTERM: the first drains a server, the second stops its runs, the third leaves them running.

The first SIGTERM may do one of the others at once: service managers send it, and machines that go down.
"""

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Final

import anyio
import anyio.abc

from aqueue.model.events import Notice, Report
from aqueue.model.server import OnStop
from aqueue.server.attempts import SHUTDOWN_SECONDS
from aqueue.server.dispatcher import Dispatcher
from aqueue.server.membership import STOPPED, Membership
from aqueue.units import counted, plural

_STEPS: Final = {OnStop.DRAIN: 1, OnStop.KILL: 2, OnStop.LEAVE: 3}
"""The step that SIGTERM takes at least."""


async def obey_signals(
    dispatcher: Dispatcher,
    membership: Membership,
    on_stop: OnStop,
    grace: Callable[[], float],
    report: Report,
    leave: Callable[[], None],
    *,
    task_status: anyio.abc.TaskStatus[None],
) -> None:
    """Obey each Ctrl-C or SIGTERM until the server leaves.

    Args:
        on_stop: how to obey SIGTERM.
        grace: the seconds between SIGTERM and SIGKILL.
        leave: makes the server leave at once.
    """
    with _ignoring_signals_afterwards(), anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async with anyio.create_task_group() as tasks:
            step = 0
            async for number in signals:
                if step == 0:
                    dispatcher.drain()
                    tasks.start_soon(membership.announce_leaving)
                if number == signal.SIGTERM:
                    dispatcher.begin_shutdown()
                    if step == 0 and on_stop is OnStop.LEAVE and dispatcher.running:
                        # Runs that end with the machine do so now.
                        await anyio.sleep(SHUTDOWN_SECONDS)
                step = max(step + 1, _STEPS[on_stop] if number == signal.SIGTERM else 1)
                if step == 1:
                    _report_running(dispatcher.running, report)
                elif step == 2:
                    if dispatcher.running:
                        report(Notice(f"stopping all runs; those still running after {grace():.0f} s are killed"))
                    dispatcher.stop_runs(STOPPED)
                else:
                    if dispatcher.running:
                        report(Notice("the server exits; its runs go on, and the next server takes them over"))
                    leave()
                    return


async def obey_parent(pipe: int) -> None:
    """Take the end of the process that has the other end of a pipe for a SIGTERM."""
    await anyio.wait_readable(pipe)
    signal.raise_signal(signal.SIGTERM)


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
