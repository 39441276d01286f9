"""Readings of the GPUs, taken by a process of its own; see `nvml`."""

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
"""After how long a process that does not answer is given up; it gives up the driver before."""

_RENEW_SECONDS: Final = 5.0
"""Seconds between two new processes because of a GPU that fails; the others are needed meanwhile."""

_NO_ANSWER: Final = "the NVIDIA driver does not answer"
_LINE: Final = b"\n"

# It finds the modules that this process would, but not what happens to lie in the current directory. Its first
# argument is for people who look at a list of processes.
_PROGRAM: Final = """\
import sys
_, runs, output, *sys.path = sys.argv[1:]
from aqueue.gpus.nvml import main
main(runs, int(output))
"""


class Gpus:
    """Looks at the GPUs of this machine; nothing of NVIDIA's is loaded before the first look.

    Args:
        folder: whose runs' processes are to be known as such.
    """

    def __init__(self, folder: Folder) -> None:
        self._runs = folder.runs_text
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: int | None = None
        self._renewed_at = -math.inf

    async def look(self) -> GpuReading:
        """Look at all GPUs, however long that takes; it does not raise."""
        began_at = time.time()
        talk = self._conversation(began_at)
        try:
            with anyio.move_on_after(ANSWER_SECONDS):
                while True:
                    await anyio.wait_readable(next(talk))
        except StopIteration as end:
            look: GpuReading = end.value
            return look
        except OSError as error:
            return self._failed(began_at, f"the GPUs cannot be looked at: {error}")
        except BaseException:
            # Its answer would be taken for that to the next question.
            self.close()
            raise
        return self._failed(began_at, _NO_ANSWER)

    def look_now(self) -> GpuReading:
        """Return the same for those who have nothing else to do meanwhile."""
        began_at = time.time()
        until = time.monotonic() + ANSWER_SECONDS
        talk = self._conversation(began_at)
        try:
            while select.select([next(talk)], [], [], max(until - time.monotonic(), 0.0))[0]:
                pass
        except StopIteration as end:
            look: GpuReading = end.value
            return look
        except OSError as error:
            return self._failed(began_at, f"the GPUs cannot be looked at: {error}")
        return self._failed(began_at, _NO_ANSWER)

    def close(self) -> None:
        """End the process that looks; the next look starts another, with the driver's library as it is then."""
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
        # One that hangs in the kernel ends whenever the driver lets it.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)

    def _conversation(self, began_at: float) -> Generator[int, None, GpuReading]:
        """Ask and listen; goes on whenever there is something to read from the descriptor that it gives."""
        while True:
            answers, is_new = self._ask()
            text = b""
            while not text.endswith(_LINE):
                yield answers
                if not (part := os.read(answers, 1 << 16)):
                    break
                text += part
            if text.endswith(_LINE) or is_new:
                return self._understood(text, began_at)
            # It has ended since the last look, and was asked in vain.
            self.close()

    def _ask(self) -> tuple[int, bool]:
        """Ask for a look.

        Returns:
            the descriptor on which the answer comes, and whether the process was started for this.
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

    def _understood(self, text: bytes, began_at: float) -> GpuReading:
        try:
            look = msgspec.json.decode(text, type=GpuReading)
        except msgspec.DecodeError:
            return self._failed(began_at, "the GPUs cannot be looked at: the process that does so has ended")
        fails = any(gpu.error not in (None, HANGS) for gpu in look.gpus)
        if look.problem is not None or (fails and time.monotonic() - self._renewed_at > _RENEW_SECONDS):
            # Only a new process sees a driver that has come meanwhile, and while one has the driver open, a GPU
            # cannot be reset.
            self._renewed_at = time.monotonic()
            self.close()
        return look

    def _failed(self, began_at: float, problem: str) -> GpuReading:
        self.close()
        return GpuReading(began_at=began_at, ended_at=time.time(), problem=problem)
