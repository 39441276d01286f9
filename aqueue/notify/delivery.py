"""The delivery of a message by a process of its own, with a time limit."""

import contextlib
import os
import signal
import subprocess
import sys
from typing import IO, Final

import anyio
import msgspec

from aqueue.folder.layout import Folder
from aqueue.model.notification import Message, Target
from aqueue.notify.program import Job, Result
from aqueue.search_path import without_current_directory

SECONDS: Final = 30.0
"""The seconds that sending a message may take."""

_TOO_LONG: Final = f"it was not sent within {SECONDS:g} seconds"

# It imports from the same places as this process, except the current directory. Its first argument makes it
# recognisable in a list of processes.
_PROGRAM: Final = """\
import sys
_, *sys.path = sys.argv[1:]
from aqueue.notify.program import main
main()
"""


async def deliver(folder: Folder, target: Target, message: Message) -> str | None:
    """Send a message.

    Returns:
        why it was not sent, without secrets; None if it was.
    """
    try:
        process = _start(subprocess.DEVNULL)
    except OSError as error:
        return f"no process can be started: {error.strerror}"
    answer = b""
    try:
        _hand_over(process, folder, target, message)
        output = _output(process)
        with anyio.move_on_after(SECONDS) as limit:
            while True:
                await anyio.wait_readable(output)
                if not (part := os.read(output, 1 << 16)):
                    break
                answer += part
    finally:
        _end(process)
    return _TOO_LONG if limit.cancelled_caught else _error_in(answer)


def deliver_blocking(folder: Folder, target: Target, message: Message) -> str | None:
    """Send a message, blocking the caller meanwhile; what a command prints goes to standard error.

    Returns:
        why it was not sent, without secrets; None if it was.
    """
    process = _start(None)
    try:
        answer, _ = process.communicate(_job(folder, target, message), SECONDS)
    except subprocess.TimeoutExpired:
        return _TOO_LONG
    finally:
        _end(process)
    return _error_in(answer)


def _start(errors: int | None) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - aqueue itself
        [sys.executable, "-P", "-c", _PROGRAM, "aqueue.notify", *without_current_directory()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,
    )


def _job(folder: Folder, target: Target, message: Message) -> bytes:
    return msgspec.json.encode(
        Job(target=target, message=message, folder=str(folder.path), directory=str(folder.parent))
    )


def _hand_over(process: subprocess.Popen[bytes], folder: Folder, target: Target, message: Message) -> None:
    """Write the message to the process, which reads it all before it does anything else."""
    with contextlib.suppress(BrokenPipeError), _pipe(process.stdin) as pipe:
        pipe.write(_job(folder, target, message))


def _output(process: subprocess.Popen[bytes]) -> int:
    return _pipe(process.stdout).fileno()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise AssertionError("it was started with pipes")
    return pipe


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it has started."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    # A process that hangs in the kernel ends later, and is reaped then.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(0.1)


def _error_in(answer: bytes) -> str | None:
    try:
        return msgspec.json.decode(answer, type=Result).error
    except msgspec.DecodeError:
        return "the process that sends it has ended too early"
