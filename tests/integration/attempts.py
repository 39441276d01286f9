"""Start attempts, and leave none of their processes behind."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from aqueue.executors import attempt_input
from aqueue.executors.attempt_files import Fence, read_fence
from aqueue.executors.command import OWN_SHELL
from aqueue.executors.local.parking import Parking
from aqueue.executors.local.process import Launch, Process
from aqueue.folder.layout import Folder
from tests.waiting import eventually

DYING_SERVER = """\
import json, os, sys
from pathlib import Path
from aqueue.executors.local.parking import Parking
from aqueue.executors.local.process import Launch, spawn
attempt, working_dir, arguments, environment, state = json.load(sys.stdin)
if state:
    parking = Parking(Path(state), environment)
    parking.fill()
    spawn = parking.spawn
print(spawn(Launch(attempt, working_dir, arguments, environment)).pid)
sys.stdout.flush()
os._exit(9)
"""


class Started:
    """An attempt that was started; `process` is None where another process started it."""

    def __init__(self, path: str, pid: int, process: Process | None = None) -> None:
        self.path = path
        self.pid = pid
        self._process = process

    @property
    def process(self) -> Process:
        assert self._process is not None
        return self._process

    @property
    def output(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return Path(self.path + ".log").read_text()
        return ""

    @property
    def fence(self) -> Fence:
        fence = read_fence(self.path)
        assert fence is not None
        return fence

    async def ends(self) -> int | None:
        """Wait for it to be over."""
        return await self.process.wait()

    def says(self, text: str) -> None:
        """Wait until `text` is in its output."""
        eventually(lambda: text in self.output)

    def signal(self, number: int) -> None:
        """Send a signal to all of its group."""
        os.killpg(self.pid, number)


class Attempts:
    """Starts attempts of one folder; a string is a shell command, a list a program and its arguments."""

    def __init__(self, folder: Folder, *, parked: bool = False) -> None:
        self._folder = folder
        self._state = str(folder.state) if parked else ""
        self.parking = Parking(folder.state, _whole(None))
        self._started: list[Started] = []

    def path(self, run: int = 1, attempt: int = 1) -> str:
        self._folder.make_run_dir(run)
        return self._folder.attempt(run, attempt)

    def start(
        self,
        command: str | Sequence[str],
        *params: str,
        path: str | None = None,
        working_dir: Path | None = None,
        environment: Mapping[str, str] | None = None,
        has_input: bool = False,
    ) -> Started:
        path = path or self.path()
        if self._state:
            self.parking.fill()
        if has_input:
            attempt_input.make(path)
        directory, arguments = self._directory(working_dir), _arguments(command, params)
        process = self.parking.spawn(Launch(path, directory, arguments, _whole(environment), has_input=has_input))
        started = Started(path, process.pid, process)
        self._started.append(started)
        return started

    def start_and_die(
        self,
        command: str | Sequence[str],
        *,
        path: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Started:
        """Have it started by a process that is gone when this returns."""
        path = path or self.path()
        told = self.what_to_spawn(path, _arguments(command, ()), _whole(environment))
        died = subprocess.run(
            [sys.executable, "-c", DYING_SERVER], input=told, stdout=subprocess.PIPE, check=False
        )
        assert died.returncode == 9
        started = Started(path, int(died.stdout))
        self._started.append(started)
        return started

    def what_to_spawn(self, path: str, arguments: Sequence[str], environment: Mapping[str, str]) -> bytes:
        """Return what the server that dies reads."""
        return msgspec.json.encode([path, self._directory(None), arguments, environment, self._state])

    def clear(self) -> None:
        self.parking.close()
        for started in self._started:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                started.signal(signal.SIGKILL)
            if started._process is not None:
                started.process.__exit__()
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(started.pid, 0)

    def _directory(self, working_dir: Path | None) -> str:
        return str(working_dir or self._folder.parent)


def _arguments(command: str | Sequence[str], params: Sequence[str]) -> list[str]:
    return [OWN_SHELL, command, *params] if isinstance(command, str) else list(command)


def _whole(environment: Mapping[str, str] | None) -> dict[str, str]:
    return {"PATH": os.environ["PATH"]} | dict(environment or {})
