"""Shells that are started before their attempts, and wait for them on a pipe.

Loading a shell is the slowest part of starting an attempt. So a server parks some shells while it is idle: each
leads its own session, holds a lock, and reads its script from a pipe that only the server writes to. To start an
attempt then takes one rename, which makes the lock the attempt's, and one write. The script is the ordinary
wrapper as one compound command, so a shell runs nothing before it has read all of it. If the server dies, the pipe
is closed, and the shell ends.
"""

import contextlib
import math
import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from aqueue.executors.local import attempt_locks, handover, process
from aqueue.executors.local.process import Launch, Prepared, Process

_DIRECTORY: Final = "parked"

_SPARE: Final = 2
"""The number of parked shells."""

_PIPE: Final = 9
"""The descriptor that a shell reads its script from; some shells support only one digit."""

_MAX_SCRIPT: Final = 1 << 15
"""The number of bytes that always fit into a pipe."""

_PAUSE: Final = 60.0
"""The seconds without parked shells after one could not be started or used."""


class ParkedShell:
    """A shell that waits for its attempt.

    Args:
        name: the path of its lock, without the suffix; also an argument on its command line.
        environment: its environment until the attempt starts.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(self, name: str, environment: Mapping[str, str]) -> None:
        self._name = name
        lock = attempt_locks.take(name)
        if lock is None:
            raise OSError(f"no lock can be taken in {name}")
        with contextlib.ExitStack() as always, contextlib.ExitStack() as on_failure:
            always.callback(os.close, lock)
            on_failure.callback(attempt_locks.remove, name)
            reading, self._writing = os.pipe()
            always.callback(os.close, reading)
            on_failure.callback(os.close, self._writing)
            os.set_blocking(self._writing, False)
            script = [f". /dev/fd/{_PIPE}", "/bin/sh", name]
            self.pid = process.spawn_shell(script, environment, lock, [(os.POSIX_SPAWN_DUP2, reading, _PIPE)])
            on_failure.pop_all()

    def start(self, attempt: str, script: bytes) -> bool:
        """Run the script of an attempt; return False if that fails and the shell was ended."""
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
        """End the shell before it runs anything."""
        os.close(self._writing)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)
        attempt_locks.remove(self._name)


class Parking:
    """The parked shells of a server.

    Args:
        state: the directory that contains the one for their locks.
        environment: the server's environment; those of attempts override it.
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
        """Return the pids of the parked shells."""
        return [shell.pid for shell in self._shells]

    def fill(self) -> None:
        """Start parked shells until there are enough, if possible."""
        if len(self._shells) == _SPARE or time.monotonic() < self._pauses_until:
            return
        try:
            self._directory.mkdir(mode=0o700, exist_ok=True)
            while len(self._shells) < _SPARE:
                name = str(self._directory / os.urandom(6).hex())
                self._shells.append(ParkedShell(name, self._environment))
        except (OSError, attempt_locks.HeldError):
            self.pause()

    def spawn(self, launch: Launch) -> Process:
        """Start an attempt as `process.spawn` does, in a parked shell if one is suitable."""
        prepared = launch.prepared()
        script = self._script(prepared) if self._shells else None
        if script is not None:
            shell = self._shells.pop()
            if shell.start(launch.attempt, script):
                return Process(shell.pid, child=True)
            self.pause()
        return process.spawn_prepared(launch.attempt, prepared)

    def close(self) -> None:
        """End the parked shells."""
        while self._shells:
            self._shells.pop().end()

    def _script(self, prepared: Prepared) -> bytes | None:
        """Return the script for a parked shell; None if the attempt needs a new shell."""
        exporting = handover.difference(self._environment, prepared.environment)
        if exporting is None:
            return None
        arguments = " ".join(map(shlex.quote, prepared.arguments))
        script = os.fsencode(f"{{ exec {_PIPE}<&-\n{exporting}\nset -- {arguments}\n{prepared.script}}}\n")
        return None if len(script) > _MAX_SCRIPT or b"\0" in script else script

    def pause(self) -> None:
        """Use no parked shells for a while: one failed for an unknown reason."""
        self.close()
        self._pauses_until = time.monotonic() + _PAUSE

    def _remove_left_locks(self) -> None:
        """Remove the locks of shells whose server died."""
        for path in self._directory.glob("*.lock"):
            name = str(path.with_suffix(""))
            # Another server may have just created a lock that it is about to take.
            is_old = time.time() - path.stat().st_mtime > _PAUSE
            if is_old and attempt_locks.is_held(name) is False:
                attempt_locks.remove(name)


def is_name(named: bytes) -> bool:
    """Return True if a word of a command line is the name of a parked shell, not an attempt."""
    return named.split(b"/")[-2:-1] == [os.fsencode(_DIRECTORY)]


def _can_be_used() -> bool:
    """Return True if a shell can read from its pipe, and the lock does not use the same descriptor."""
    return sys.platform == "linux" and Path("/dev/fd").exists() and attempt_locks.inherited_descriptor() > _PIPE
