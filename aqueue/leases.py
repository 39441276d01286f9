"""Whether somebody is still writing a file."""

import errno
import fcntl


def hold_still(descriptor: int) -> bool | None:
    """Keep others from opening the file for writing until it is closed here.

    Returns:
        whether nobody had it open for writing; None where that cannot be asked.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return None
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return False if error.errno == errno.EAGAIN else None
    return True
