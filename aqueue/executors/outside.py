"""Attempts as commands find them without a server, by their files; only local attempts have such files."""

from aqueue.folder.layout import Folder
from aqueue.model.run import Run


def command_pid(run: Run, folder: Folder) -> int | None:
    """Return the pid of the command of a run's last attempt; None if there is none on this machine."""
    # Imported here, as below, because it is slow, and usually nothing is running.
    from aqueue.executors import attempt_files
    from aqueue.executors.local import procfs

    fence = attempt_files.read_fence(folder.attempt(run.id, run.attempt))
    return procfs.command_pid(fence.pid) if fence and fence.pid else None


def waits_for_input(run: Run, folder: Folder) -> bool:
    """Return True if a process of a running run is known to wait for what people send to it."""
    # Imported here, as above.
    from aqueue.executors.local import waiting_for_input

    pid = command_pid(run, folder)
    return pid is not None and waiting_for_input.is_among(pid, folder.attempt(run.id, run.attempt))


def end(run: Run, folder: Folder, grace: float) -> None:
    """End the last attempt of a run that has no server, if it goes on on this machine.

    Args:
        grace: seconds between SIGTERM and SIGKILL.
    """
    from functools import partial

    import anyio

    from aqueue.executors import attempt_files
    from aqueue.executors.local import adoption, process_table

    attempt = folder.attempt(run.id, run.attempt)
    fence = attempt_files.read_fence(attempt) or attempt_files.Fence(None, None)
    found = adoption.find_by_pid(attempt, fence) or adoption.find_in(process_table.read(), attempt, fence)
    if found is not None:
        with found:
            anyio.run(partial(found.end_group, grace))
