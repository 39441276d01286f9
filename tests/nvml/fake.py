"""NVIDIA cards that a test makes up: for every process that it starts with their environment.

It loads a library of ours in place of NVIDIA's, see `fake.c`; `statements.h` has what may be said of the cards.
"""

import atexit
import fcntl
import functools
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_SOURCE = Path(__file__).with_name("fake.c")
_KINDS = {"init", "card", "mig", "process", "error", "hang", "link", "near"}


class FakeCards:
    """The cards of a machine, and what goes on there.

    Args:
        directory: for the file that says so, and one of the calls.
        lines: what there is at first.
    """

    def __init__(self, directory: Path, *lines: str) -> None:
        self.path = directory / "cards.txt"
        self._calls = directory / "calls.txt"
        # An empty one would stand for the directory in which a process happens to be.
        others = [path] if (path := os.environ.get("LD_LIBRARY_PATH")) else []
        self.environment: dict[str, str] = {
            "LD_LIBRARY_PATH": os.pathsep.join([str(library()), *others]),
            "FAKE_NVML": str(self.path),
            "FAKE_NVML_CALLS": str(self._calls),
        }
        self.say(*lines)

    def say(self, *lines: str) -> None:
        """Have it be so from now on, and nothing else."""
        for line in lines:
            # The library looks for what it knows, and would pass over a slip of the pen.
            if line.partition(" ")[0] not in _KINDS and not line.startswith("#"):
                raise ValueError(f"not a statement about cards: {line}")
        beside = self.path.with_suffix(".new")
        beside.write_text("".join(f"{line}\n" for line in lines))
        beside.replace(self.path)

    def add(self, *lines: str) -> None:
        """Have this be so too."""
        self.say(*self._said(), *lines)

    def remove(self, *lines: str) -> None:
        """Have this be so no longer; ValueError if it was not said in these words."""
        left = self._said()
        for line in lines:
            left.remove(line)
        self.say(*left)

    def calls(self) -> list[str]:
        """Return the calls so far, each as `PID FUNCTION` or `PID FUNCTION CARD`."""
        return self._calls.read_text().splitlines() if self._calls.exists() else []

    @staticmethod
    def cards(count: int, total: int = 24576) -> list[str]:
        """Statements that there are so many cards, at most 16, of so many MiB each, with none of it in use."""
        return [
            f"card {index} uuid=GPU-{f'{index:x}' * 8} bus=0000:{index + 1:02x}:00.0"
            f" total={total} used=0 name=NVIDIA_A10"
            for index in range(count)
        ]

    def _said(self) -> list[str]:
        return self.path.read_text().splitlines()


@functools.cache
def library() -> Path:
    """The directory of the library, for as long as the tests go on; skips a test where it cannot be made.

    All workers of pytest-xdist have the same one. Its last user removes it.
    """
    if sys.platform != "linux":
        pytest.skip("only on Linux can a library of ours take the place of NVIDIA's")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler to make a fake of NVIDIA's library with")
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or uuid.uuid4().hex
    directory = Path(tempfile.gettempdir(), f"aqueue-nvml-{run}")
    user = directory / f"{os.getpid()}.user"
    made = directory / "libnvidia-ml.so.1"
    with _alone():
        directory.mkdir(mode=0o700, exist_ok=True)
        if directory.lstat().st_uid != os.getuid():
            raise PermissionError(f"{directory} is somebody else's")
        user.touch()
        atexit.register(_leave, user)
        if not made.exists():
            # Whoever is killed at this leaves no half of a library to the others.
            beside = directory / "new.so"
            subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", beside, _SOURCE], check=True)
            beside.replace(made)
    return directory


def _leave(user: Path) -> None:
    with _alone():
        user.unlink(missing_ok=True)
        if not any(user.parent.glob("*.user")):
            shutil.rmtree(user.parent, ignore_errors=True)


@contextmanager
def _alone() -> Iterator[None]:
    """While no other process makes or removes a library; the lock is on a file that is always there."""
    with _SOURCE.open("rb") as source:
        fcntl.flock(source, fcntl.LOCK_EX)
        yield
