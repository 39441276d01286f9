"""Orders to servers while the disk is too full to write to the database."""

from collections.abc import Sequence

from aqueue.client.session import config_or_default, living_servers, reading
from aqueue.errors import DiskFullError
from aqueue.executors import outside
from aqueue.folder.layout import Folder
from aqueue.model.run import ENDED, Run, State
from aqueue.model.server import Leaving, Server
from aqueue.store.orders import Cancel, Leave, Order, OrderFile


def cancel_without_room(folder: Folder, runs: Sequence[Run], error: DiskFullError) -> list[Run]:
    """Cancel runs while the disk is full; stop running ones here if no server is up.

    Args:
        error: the error of the database.

    Returns:
        the runs that had not ended.

    Raises:
        DiskFullError: there is not even room for the order.
    """
    left = [run for run in runs if run.state not in ENDED]
    if not left:
        raise error
    _give(folder, [Cancel(run.id, run.attempt, "cancelled") for run in left], error)
    running = [run for run in left if run.state is State.RUNNING]
    with reading(folder) as store:
        is_served = bool(living_servers(store, folder))
    if not is_served:
        grace = config_or_default(folder).grace
        for run in running:
            outside.end(run, folder, grace)
    return left


def dismiss_without_room(
    folder: Folder, servers: Sequence[Server], leaving: Leaving, error: DiskFullError
) -> None:
    """Ask servers to exit while the disk is full.

    Args:
        error: the error of the database.

    Raises:
        DiskFullError: there is not even room for the order.
    """
    if not servers:
        raise error
    _give(folder, [Leave(server.id, leaving) for server in servers], error)


def _give(folder: Folder, orders: Sequence[Order], error: DiskFullError) -> None:
    try:
        OrderFile(str(folder.orders)).give(orders)
    except OSError:
        # Some file systems need room even to overwrite a file. Or no server has ever run here.
        raise error from None
    folder.ring()
    folder.notify_clients()
