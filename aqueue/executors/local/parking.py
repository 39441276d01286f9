"""Shells that are started ahead of their attempts, and wait for them behind a pipe.

To load a shell takes longer than all else at the start of an attempt. So a server has some parked, in idle
moments: each leads a session of its own, holds a lock, and reads its script from a pipe that only the server
writes to. The start of an attempt is then a rename, by which the lock becomes the attempt's, and one write. The
script is that of any other wrapper, as one compound command, of which a shell runs nothing before it has read all.
If the server dies first, the pipe ends, and the shell with it.
"""

import contextlib
import math
import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from aqueue.executors.local import attempt_locks, handover, process, wrapper
from aqueue.executors.local.process import Process

_DIRECTORY: Final = "parked"

_SPARE: Final = 2
"""The number of shells that wait."""

_PIPE: Final = 9
"""The descriptor that a shell reads its script from: more than one digit not every shell can name."""

_MAX_SCRIPT: Final = 1 << 15
"""Bytes that surely find room in a pipe."""

_PAUSE: Final = 60.0
"""Seconds to wait after one could not be parked, or could not be used."""


class ParkedShell:
    """A shell that waits for its attempt.

    Args:
        name: the path of its lock, without the suffix; it has that on its command line.
        environment: that it has until it gets another.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self._name = name
        lock = attempt_locks.take(name)
        if lock is None:
            raise OSError(f"no lock can be taken in {name}")
        try:
            reading, self._writing = os.pipe()
            try:
                script = [f". /dev/fd/{_PIPE}", "/bin/sh", name]
                actions = [(os.POSIX_SPAWN_DUP2, reading, _PIPE)]
                self.pid = process.spawn_shell(script, environment, lock, actions)
            except OSError:
                os.close(self._writing)
                raise
            finally:
                os.close(reading)
        except OSError:
            attempt_locks.remove(name)
            raise
        finally:
            os.close(lock)
        os.set_blocking(self._writing, False)

    def start(self, attempt: str, script: bytes) -> bool:
        """Have it run the script of an attempt; False if it cannot, and is gone."""
        try:
            if attempt_locks.rename(self._name, attempt):
                self._name = attempt
                if os.write(self._writing, script) == len(script):
                    os.close(self._writing)
                    return True
        except OSError:
            pass
        self.end()
        return False

    def end(self) -> None:
        """End it before it has begun with anything."""
        os.close(self._writing)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        attempt_locks.remove(self._name)


class Parking:
    """The shells that a server has parked.

    Args:
        state: the directory in which that for their locks is made.
        environment: the server's, over which those of attempts go.
    """

    def __init__(self, state: Path, environment: Mapping[str, str]) -> None:
        self._directory = state / _DIRECTORY
        self._environment = handover.hand_over(environment, os.environ, "/", ["true"]).environment
        self._shells: list[ParkedShell] = []
        self._pauses_until = 0.0 if _can_be_used() else math.inf
        with contextlib.suppress(OSError):
            self._remove_left_locks()

    @property
    def pids(self) -> list[int]:
        """Return the pids of the shells that wait."""
        return [shell.pid for shell in self._shells]

    def fill(self) -> None:
        """Park as many shells as there should be, as far as that is possible."""
        if len(self._shells) == _SPARE or time.monotonic() < self._pauses_until:
            return
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            while len(self._shells) < _SPARE:
                name = str(self._directory / os.urandom(6).hex())
                self._shells.append(ParkedShell(name, self._environment))
        except (OSError, attempt_locks.HeldError):
            self.pause()

    def spawn(
        self,
        attempt: str,
        working_dir: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        has_plan: bool = False,
        open_files: int | None = None,
    ) -> Process:
        """Start an attempt as `process.spawn` does, in a parked shell if there is one that can take it."""
        if self._shells:
            given = handover.hand_over(environment, os.environ, working_dir, arguments)
            script = self._script(
                wrapper.script(has_plan=has_plan, open_files=open_files),
                given.environment,
                [attempt, working_dir, given.restoring, *given.arguments],
            )
            if script is not None:
                shell = self._shells.pop()
                if shell.start(attempt, script):
                    return Process(shell.pid, child=True)
                self.pause()
        return process.spawn(
            attempt, working_dir, arguments, environment, has_plan=has_plan, open_files=open_files
        )

    def close(self) -> None:
        """End the shells that wait."""
        while self._shells:
            self._shells.pop().end()

    def _script(self, text: str, environment: Mapping[str, str], arguments: Sequence[str]) -> bytes | None:
        """Return what a parked shell is to read; None if another has to be started."""
        exporting = handover.difference(self._environment, environment)
        if exporting is None:
            return None
        script = os.fsencode(
            f"{{ exec {_PIPE}<&-\n{exporting}\nset -- {' '.join(map(shlex.quote, arguments))}\n{text}}}\n"
        )
        return None if len(script) > _MAX_SCRIPT or b"\0" in script else script

    def pause(self) -> None:
        """Use no parked shell for a while: one has failed, and why is not known."""
        self.close()
        self._pauses_until = time.monotonic() + _PAUSE

    def _remove_left_locks(self) -> None:
        """Remove the locks of shells whose server died."""
        for path in self._directory.glob("*.lock"):
            name = str(path.with_suffix(""))
            # Another server may be about to take one that it has just made.
            is_old = time.time() - path.stat().st_mtime > _PAUSE
            if is_old and attempt_locks.is_held(name) is False:
                attempt_locks.remove(name)


def is_name(named: bytes) -> bool:
    """Return True for what the command line of a parked shell has in place of the attempt."""
    return named.split(b"/")[-2:-1] == [os.fsencode(_DIRECTORY)]


def _can_be_used() -> bool:
    """Return True if a shell can name its pipe, and has no lock in place of it."""
    return sys.platform == "linux" and Path("/dev/fd").exists() and attempt_locks.inherited_descriptor() > _PIPE
