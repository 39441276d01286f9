"""Start `python -m aqueue` without waiting for Python: as a fork of a process that has loaded the libraries.

The acceptance tests start thousands of processes, and most of their time would go into loading the same libraries
again. Only those are there already: aqueue's own modules are loaded by each process, as ever.

Data flows: the tests send arguments, directory, environment and files to the one process that has loaded all; it
forks a process that waits; that one forks the process that is meant, tells its pid, and later how it ended.
"""

import atexit
import contextlib
import functools
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_LARGEST_REQUEST: Final = 1 << 20
_READ_AT_START: Final = ("PYTHON", "LC_", "LANG", "LD_", "TZ")
"""Beginnings of the names of variables that are looked at only when a process starts."""


class Forked:
    """A process, as far as `subprocess.Popen` is the same: what the tests need of it."""

    def __init__(self, args: Sequence[str], reports: socket.socket) -> None:
        self.args = args
        self.pid = int(reports.recv(64))
        self.returncode: int | None = None
        self._reports = reports

    def poll(self) -> int | None:
        """Its exit code, minus the number of the signal that ended it; None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._reports], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
            self.returncode = int(self._reports.recv(64))
            self._reports.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            # It may have ended just now.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def can_fork(environment: Mapping[str, str]) -> bool:
    """Whether a process with this environment is the same if it is forked."""
    changed = {key for key, _ in environment.items() ^ os.environ.items()}
    return not any(key.startswith(_READ_AT_START) for key in changed)


def fork(arguments: Sequence[str], cwd: Path, environment: Mapping[str, str], out: int, err: int) -> Forked:
    """Start `python -m aqueue` in a session of its own, with nothing on standard input.

    Args:
        out: the descriptor of its standard output.
        err: of its standard error.
    """
    mine, theirs = socket.socketpair()
    request = json.dumps([list(arguments), str(cwd), dict(environment)]).encode()
    with theirs:
        socket.send_fds(_loaded(), [request], [theirs.fileno(), out, err])
    return Forked(["aqueue", *arguments], mine)


@functools.cache
def _loaded() -> socket.socket:
    """The way to the process that has loaded the libraries; it ends when the tests do."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            cwd=tempfile.gettempdir(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )

    def end() -> None:
        mine.close()
        process.wait()

    atexit.register(end)
    return mine


def _load() -> None:
    for name in ("aqueue.cli", "aqueue.cli.serving", "aqueue.server", "rich.table"):
        importlib.import_module(name)
    # A server does without it where there is none.
    with contextlib.suppress(ImportError):
        importlib.import_module("uvloop")
    for name in [name for name in sys.modules if name.partition(".")[0] == "aqueue"]:
        del sys.modules[name]


def _answer(requests: socket.socket) -> None:
    """Fork a process for each request, until there are no more; returns in each of them."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        request, descriptors, _, _ = socket.recv_fds(requests, _LARGEST_REQUEST, 3)
        if not request:
            os._exit(0)
        if os.fork() == 0:
            break
        for descriptor in descriptors:
            os.close(descriptor)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    requests.close()
    reports, out, err = descriptors
    if pid := os.fork():
        os.write(reports, str(pid).encode())
        _, status = os.waitpid(pid, 0)
        os.write(reports, str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    _become(request, reports, out, err)


def _become(request: bytes, reports: int, out: int, err: int) -> None:
    """Be as a process that was started for this."""
    arguments, cwd, environment = json.loads(request)
    os.setsid()
    os.dup2(out, 1)
    os.dup2(err, 2)
    for descriptor in (reports, out, err):
        os.close(descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = cwd
    sys.argv[1:] = arguments


if __name__ == "__main__":
    _load()
    _answer(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module("aqueue", run_name="__main__", alter_sys=True)
