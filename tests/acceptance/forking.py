"""Start `python -m aqueue` without waiting for Python: as a fork of a process that has loaded all modules.

The acceptance tests start thousands of processes, and most of their time would go into loading the same modules
again. A module of aqueue does nothing when it is loaded; that one which is not needed is not loaded, and none from
the current directory, is tested with processes of their own.

Data flows: the tests send arguments, directory, environment and files to a process that has loaded all; it forks
the process that is meant, tells its pid, and later how it ended. The dynamic linker reads its variables once, when
a process starts: so there is one that has loaded all for each set of those.
"""

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import pkgutil
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

import aqueue

_SCRIPTS: Final = ("aqueue.__main__", "aqueue.executors.local.restore", "aqueue.isolation.checkout.__main__")
"""The code of a program that runs by itself."""

_LARGEST_REQUEST: Final = 1 << 20
_LINKERS: Final = "LD_"
"""The beginning of the names of the dynamic linker's variables."""

_READ_AT_START: Final = ("PYTHON", "LC_", "LANG", "TZ")
"""Beginnings of the names of other variables that are looked at only when a process starts."""


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
    """Return True if a process with this environment may be forked instead of started."""
    changed = {key for key, _ in environment.items() ^ os.environ.items()}
    return not any(key.startswith(_READ_AT_START) for key in changed)


def fork(
    arguments: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    out: int,
    err: int,
    *,
    beside: int | None = None,
) -> Forked:
    """Start `python -m aqueue` in a session of its own, with nothing on standard input.

    Args:
        beside: the pid of a process whose user and mount namespaces it is to be in; None: in those that we are in.
        out: the descriptor of its standard output.
        err: of its standard error.
    """
    # What is told later must not be read together with what was told before.
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    request = json.dumps([list(arguments), str(cwd), dict(environment), beside]).encode()
    linkers = tuple(sorted(item for item in environment.items() if item[0].startswith(_LINKERS)))
    with theirs:
        socket.send_fds(_loaded(linkers), [request], [theirs.fileno(), out, err])
    return Forked(["aqueue", *arguments], mine)


@functools.cache
def _loaded(linkers: tuple[tuple[str, str], ...]) -> socket.socket:
    """The way to the process that has loaded the libraries; it ends when the tests do.

    Args:
        linkers: the dynamic linker's variables.
    """
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    others = {key: text for key, text in os.environ.items() if not key.startswith(_LINKERS)}
    with theirs:
        process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            env=others | dict(linkers),
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
    for module in pkgutil.walk_packages(aqueue.__path__, "aqueue."):
        if module.name not in _SCRIPTS:
            importlib.import_module(module.name)
    for name in (
        "aiosqlite",
        "anyio._backends._asyncio",
        "pynvml",
        "rich.console",
        "rich.markup",
        "rich.table",
        "yaml",
    ):
        importlib.import_module(name)
    # A server does without it where there is none.
    with contextlib.suppress(ImportError):
        importlib.import_module("uvloop")
    # What is looked through for garbage, if only at the end, is copied for each process.
    gc.collect()
    gc.freeze()


def _answer(requests: socket.socket) -> None:
    """Fork a process for each request, until there are no more; returns in each of them."""
    ended, wake = socket.socketpair()
    for side in (ended, wake):
        side.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    reports: dict[int, int] = {}
    while True:
        readable, _, _ = select.select([requests, ended], [], [])
        if ended in readable:
            ended.recv(4096)
            _tell_of_ends(reports)
            continue
        request, descriptors, _, _ = socket.recv_fds(requests, _LARGEST_REQUEST, 3)
        if not request:
            os._exit(0)
        pid = os.fork()
        if pid == 0:
            break
        report, *files = descriptors
        for descriptor in files:
            os.close(descriptor)
        os.write(report, str(pid).encode())
        reports[pid] = report
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for side in (requests, ended, wake):
        side.close()
    for other in reports.values():
        os.close(other)
    _become(request, *descriptors)


def _tell_of_ends(reports: dict[int, int]) -> None:
    """Reap what is over, and write how it ended to where that is to be told."""
    while reports:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        report = reports.pop(pid)
        # Whoever asked may be gone.
        with contextlib.suppress(BrokenPipeError):
            os.write(report, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(report)


def _become(request: bytes, reports: int, out: int, err: int) -> None:
    """Be as a process that was started for this."""
    arguments, cwd, environment, beside = json.loads(request)
    os.setsid()
    if beside is not None:
        _enter_namespaces_of(beside)
    os.dup2(out, 1)
    os.dup2(err, 2)
    for descriptor in (reports, out, err):
        os.close(descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = cwd
    sys.argv[1:] = arguments


def _enter_namespaces_of(pid: int) -> None:
    """Be where nsenter would be: in the user namespace first, which gives the right to enter the other."""
    libc = ctypes.CDLL(None, use_errno=True)
    # Both are opened before: in the other user namespace this process may not look into /proc any more.
    namespaces = [os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY) for kind in ("user", "mnt")]
    for namespace in namespaces:
        if libc.setns(namespace, 0):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(namespace)


def _end_at_once(codes: list[int]) -> None:
    """End with the exit code, if it is known, without the interpreter being taken apart.

    That takes longer than most commands do: all that was loaded before the fork is copied for it.
    """
    # If output cannot be written, Python itself is to say so.
    with contextlib.suppress(OSError, ValueError):
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        if codes:
            os._exit(codes[0])


if __name__ == "__main__":
    # What is registered first comes last: after the ends of threads, and whatever modules have registered.
    exit_codes: list[int] = []
    atexit.register(_end_at_once, exit_codes)
    _load()
    _answer(socket.socket(fileno=int(sys.argv[1])))
    try:
        runpy.run_module("aqueue", run_name="__main__", alter_sys=True)
    except SystemExit as ending:
        if isinstance(ending.code, int):
            exit_codes.append(ending.code)
        raise
