"""Processes of this machine, whatever they run."""

import os


def is_alive(pid: int) -> bool:
    """Return True if there is such a process, and it is not just waiting to be reaped."""
    try:
        return stat_fields(pid)[0] not in "ZX"
    except OSError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def stat_fields(pid: int) -> list[str]:
    """Return state, parent, group and so on of a process; the name before them may hold anything, even blanks."""
    with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - several for each process
        return file.read().decode(errors="replace").rpartition(") ")[2].split()
