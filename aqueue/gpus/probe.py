"""Readings of the GPUs, taken in a separate process; see `nvml`."""

import contextlib
import math
import os
import select
import subprocess
import sys
import time
from collections.abc import Generator
from typing import Final

import anyio
import msgspec

from aqueue.folder.layout import Folder
from aqueue.model.gpu import HANGS, GpuReading
from aqueue.search_path import without_current_directory

ANSWER_SECONDS: Final = 30.0
"""Seconds to wait for the process; longer than it waits for the driver itself."""

_RENEW_SECONDS: Final = 5.0
"""The least seconds between two restarts because of a failing GPU; the other GPUs stay usable meanwhile."""

_NO_ANSWER: Final = "the NVIDIA driver does not answer"
_LINE: Final = b"\n"

# It imports from the same places as this process, except the current directory. Its first argument makes it
# recognisable in a list of processes.
_PROGRAM: Final = """\
import sys
_, runs, output, *sys.path = sys.argv[1:]
from aqueue.gpus.nvml import main
main(runs, int(output))
"""


class Gpus:
    """The GPUs of this machine; NVIDIA's library is loaded at the first reading.

    Args:
        folder: its runs are recognised among the processes on the GPUs.
    """

    def __init__(self, folder: Folder) -> None:
        self._runs = folder.runs_text
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: int | None = None
        self._renewed_at = -math.inf

    async def read(self) -> GpuReading:
        """Read all GPUs, however long that takes; errors are part of the reading."""
        began_at = time.time()
        exchange = self._exchange(began_at)
        try:
            with anyio.move_on_after(ANSWER_SECONDS):
                while True:
                    await anyio.wait_readable(next(exchange))
        except StopIteration as end:
            reading: GpuReading = end.value
            return reading
        except OSError as error:
            return self._failed(began_at, f"the GPUs cannot be read: {error}")
        except BaseException:
            # Otherwise its late answer would be taken for the next one.
            self.close()
            raise
        return self._failed(began_at, _NO_ANSWER)

    def read_blocking(self) -> GpuReading:
        """Return the same, blocking the caller meanwhile."""
        began_at = time.time()
        until = time.monotonic() + ANSWER_SECONDS
        exchange = self._exchange(began_at)
        try:
            while select.select([next(exchange)], [], [], max(until - time.monotonic(), 0.0))[0]:
                pass
        except StopIteration as end:
            reading: GpuReading = end.value
            return reading
        except OSError as error:
            return self._failed(began_at, f"the GPUs cannot be read: {error}")
        return self._failed(began_at, _NO_ANSWER)

    def close(self) -> None:
        """End the process; the next reading starts another, which loads the driver's library anew."""
        process, self._process = self._process, None
        if self._answers is not None:
            os.close(self._answers)
            self._answers = None
        if process is None:
            return
        process.kill()
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        # A process that hangs in the kernel ends once the driver returns.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)

    def _exchange(self, began_at: float) -> Generator[int, None, GpuReading]:
        """Yield the descriptor to wait for until the answer is complete, and return the reading."""
        while True:
            answers, is_new = self._request()
            text = b""
            while not text.endswith(_LINE):
                yield answers
                if not (part := os.read(answers, 1 << 16)):
                    break
                text += part
            if text.endswith(_LINE) or is_new:
                return self._decoded(text, began_at)
            # The process ended after the last reading: start another.
            self.close()

    def _request(self) -> tuple[int, bool]:
        """Request a reading.

        Returns:
            the descriptor on which the answer arrives, and whether a new process was started.
        """
        if self._process is not None and self._process.stdin is not None and self._answers is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.write(_LINE)
                return self._answers, False
        self.close()
        self._answers, output = os.pipe()
        try:
            self._process = subprocess.Popen(  # noqa: S603 - aqueue itself
                [
                    sys.executable,
                    "-P",
                    "-c",
                    _PROGRAM,
                    "aqueue.gpus.nvml",
                    self._runs,
                    str(output),
                    *without_current_directory(),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,
                pass_fds=[output],
            )
        finally:
            os.close(output)
        if self._process.stdin is None:
            raise AssertionError("it was started with a pipe")
        self._process.stdin.write(_LINE)
        return self._answers, True

    def _decoded(self, text: bytes, began_at: float) -> GpuReading:
        try:
            reading = msgspec.json.decode(text, type=GpuReading)
        except msgspec.DecodeError:
            return self._failed(began_at, "the GPUs cannot be read: the process that reads them has ended")
        fails = any(gpu.error not in (None, HANGS) for gpu in reading.gpus)
        if reading.problem is not None or (fails and time.monotonic() - self._renewed_at > _RENEW_SECONDS):
            # Only a new process notices a new driver, and a GPU cannot be reset while a process has the driver
            # open.
            self._renewed_at = time.monotonic()
            self.close()
        return reading

    def _failed(self, began_at: float, problem: str) -> GpuReading:
        self.close()
        return GpuReading(began_at=began_at, ended_at=time.time(), problem=problem)
