"""The content of the folder's `aqueue.yaml`. Nothing that takes long to import: `aqueue add` reads it, too."""

import os
import stat

from aqueue.errors import FileError
from aqueue.folder import trust
from aqueue.folder.layout import Folder, display_path

# As in `typing`, which takes a while to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from aqueue.folder.settling import Settling

MAX_BYTES: "Final" = 1 << 20
"""The largest size of a configuration in bytes, the same as for task files."""


def read(folder: Folder, settling: "Settling | None" = None) -> bytes | None:
    """Return the content of the folder's `aqueue.yaml`; empty if there is none.

    Args:
        settling: detects whether somebody is still writing it; then the result is None.

    Raises:
        FileError: it cannot be read.
    """
    path, file = folder.config_text, display_path(folder.config_text)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        if os.path.islink(path):
            raise _no_file(path, file) from None
        return b""
    except OSError as error:
        raise FileError(file, 0, 0, f"cannot be read: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _no_file(path, file)
        if fault := trust.fault_of_configuration(path, status):
            raise FileError(file, 0, 0, *fault)
        if settling is not None:
            seen = settling.see(path, status)
            if not settling.is_settled(path, file, descriptor, seen):
                return None
        return os.read(descriptor, MAX_BYTES + 1)
    finally:
        os.close(descriptor)


def _no_file(path: str, file: str) -> FileError:
    # Imported here: only a mistake needs it.
    from aqueue.folder import linked

    return FileError(file, 0, 0, *linked.why_no_file(path))
