"""A folder that is reached by a second path."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def bind_mount(source: Path, target: Path) -> Iterator[bool]:
    """Mount a directory a second time; False if this user cannot."""
    target.mkdir()
    mount = subprocess.run(["mount", "--bind", source, target], capture_output=True, check=False)
    try:
        yield mount.returncode == 0
    finally:
        if mount.returncode == 0:
            subprocess.run(["umount", "--lazy", target], check=True)
