"""Files with holes: what they take on the disk, and whether there can be any."""

import contextlib
import os
from pathlib import Path

import pytest

from aqueue.executors import long_logs


def taken(file: Path) -> int:
    """Return the number of bytes of a file that are not in a hole."""
    descriptor, size, found, end = os.open(file, os.O_RDONLY), file.stat().st_size, 0, 0
    try:
        with contextlib.suppress(OSError):
            while end < size:
                start = os.lseek(descriptor, end, os.SEEK_DATA)
                end = os.lseek(descriptor, start, os.SEEK_HOLE)
                found += end - start
        return found
    finally:
        os.close(descriptor)


def skip_without_holes(directory: Path) -> None:
    """Skip the test if the file system of a directory has no holes."""
    probe = directory / "probe"
    probe.write_bytes(b"x" * 200_000)
    try:
        long_logs.trim(str(probe), 1 << 16)
    except OSError as error:
        if error.errno not in long_logs.UNSUPPORTED:
            raise
        pytest.skip(f"no holes can be punched in {directory}")
    finally:
        probe.unlink()
