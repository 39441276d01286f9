"""Which GPUs there are and what they are busy with: asks a process of its own, see `nvml`."""

import contextlib
import os
import select
import subprocess
import sys
import time
from typing import Final

import anyio
import msgspec

from aqueue.cards import Look
from aqueue.folder import Folder

ANSWER_SECONDS: Final = 30.0
"""After how long a process that does not answer is given up; it gives up the driver before."""

_LINE: Final = b"\n"
_decoder = msgspec.json.Decoder(Look)


class Gpus:
    """Looks at the GPUs of this machine; nothing of NVIDIA's is loaded before the first look.

    Args:
        folder: whose runs' processes are to be known as such.
    """

    def __init__(self, folder: Folder) -> None:
        self._runs = folder.runs_text
        self._process: subprocess.Popen[bytes] | None = None

    async def look(self) -> Look:
        """Look at all cards, however long that takes; it does not raise."""
        began_at = time.time()
        with anyio.move_on_after(ANSWER_SECONDS):
            try:
                output = self._ask()
                answer = b""
                while not answer.endswith(_LINE):
                    await anyio.wait_readable(output)
                    answer += self._read(output)
                return self._understood(answer)
            except OSError as error:
                return self._failed(began_at, f"the GPUs cannot be looked at: {error}")
            except BaseException:
                # Its answer would be taken for that to the next question.
                self.close()
                raise
        return self._failed(began_at, "the NVIDIA driver does not answer")

    def look_now(self) -> Look:
        """The same for those who have nothing else to do meanwhile."""
        began_at = time.time()
        try:
            output = self._ask()
            answer = b""
            while not answer.endswith(_LINE):
                left = began_at + ANSWER_SECONDS - time.time()
                if not select.select([output], [], [], max(left, 0.0))[0]:
                    return self._failed(began_at, "the NVIDIA driver does not answer")
                answer += self._read(output)
            return self._understood(answer)
        except OSError as error:
            return self._failed(began_at, f"the GPUs cannot be looked at: {error}")

    def close(self) -> None:
        """End the process that looks; the next look starts another, with the driver's library as it is then."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        # One that hangs in the kernel ends whenever the driver lets it.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)

    def _ask(self) -> int:
        """Ask for a look; returns the descriptor on which the answer comes."""
        if self._process is not None:
            with contextlib.suppress(BrokenPipeError):
                return self._ask_of(self._process)
            # It has ended since the last look.
            self.close()
        self._process = subprocess.Popen(  # noqa: S603 - aqueue itself
            [sys.executable, "-m", "aqueue.nvml", self._runs],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        return self._ask_of(self._process)

    def _ask_of(self, process: subprocess.Popen[bytes]) -> int:
        if process.stdin is None or process.stdout is None:
            raise AssertionError("it was started with pipes")
        process.stdin.write(_LINE)
        return process.stdout.fileno()

    def _read(self, output: int) -> bytes:
        part = os.read(output, 1 << 16)
        if not part:
            raise OSError("the process that looks at them has ended")
        return part

    def _understood(self, answer: bytes) -> Look:
        look = _decoder.decode(answer)
        if look.problem is not None or any(card.error for card in look.cards):
            # Only a new process sees a driver that has come meanwhile, and while one has the driver open, a card
            # cannot be reset.
            self.close()
        return look

    def _failed(self, began_at: float, problem: str) -> Look:
        self.close()
        return Look(began_at=began_at, problem=problem)
