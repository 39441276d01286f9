"""The signs of well-known failures in an output. Pure.

They are guesses: a program may print such a line and fail for another reason.
"""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from aqueue.model.diagnosis import Cause
from aqueue.policy.error_lines import LONGEST

_SEARCHED: Final = 100
"""The number of lines, from the end, that are searched."""


class Sign(msgspec.Struct, frozen=True):
    """A pattern in an output.

    Attributes:
        pattern: matches a part of a line; `what`, if it has such a group, completes the verdict.
        verdict: a sentence, with `{}` for that part.
    """

    pattern: re.Pattern[str]
    cause: Cause
    verdict: str = ""
    next_steps: tuple[str, ...] = ()

    def line_in(self, text: str) -> str | None:
        """Return the last line that has the pattern, shortened; None if there is none."""
        lines = [line for line in text.splitlines() if self.pattern.search(line)]
        return lines[-1].strip()[:LONGEST] if lines else None

    def verdict_on(self, line: str) -> str:
        """Return the verdict for such a line."""
        found = self.pattern.search(line)
        what = found["what"] if found is not None and "what" in self.pattern.groupindex else ""
        return self.verdict.format(what)


def searched(lines: Sequence[str]) -> str:
    """Return the end of an output, in which signs are searched."""
    return "\n".join(lines[-_SEARCHED:])


DISK_FULL: Final = Sign(
    re.compile(r"No space left on device|Disk quota exceeded|\bENOSPC\b|\bEDQUOT\b|database or disk is full"),
    Cause.DISK_FULL,
)

MISSING_PROGRAM: Final = Sign(
    re.compile(r"not found|No such file or directory|Permission denied|cannot execute|bad interpreter"),
    Cause.NOT_STARTED,
)

KILLED_CHILD: Final = Sign(
    re.compile(r"\bKilled\b|SIGKILL|signal:? 9\b|exit ?code:? -9\b|terminated abruptly|died unexpectedly"),
    Cause.OUT_OF_MEMORY,
)

USAGE: Final = Sign(
    re.compile(
        r"^usage: |unrecognized arguments?|arguments? (are|is) required|"
        r"(unrecognized|unknown|invalid|illegal|no such) option|No such (option|command)|"
        r"invalid choice|expected (one|at least one) argument|(Missing|unexpected extra) argument",
        re.IGNORECASE,
    ),
    Cause.USAGE,
)

SIGNS: Final = (
    Sign(
        re.compile(
            r"CUDA out of memory|cuda\.OutOfMemoryError|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|"
            r"CUBLAS_STATUS_ALLOC_FAILED|CUDA error: out of memory|HIP out of memory|"
            r"RESOURCE_EXHAUSTED: (Out of memory|OOM)|Resource exhausted: OOM"
        ),
        Cause.GPU_OUT_OF_MEMORY,
        "its GPU's memory seems to have been too small, or used by others",
        (
            "use a smaller batch, or ask for `gpu_memory`, so that it starts only on a GPU with that much free",
            "`aqueue gpus` shows what else is on the GPU",
        ),
    ),
    Sign(
        re.compile(
            r"\bXid\b|fallen off the bus|GPU is lost|[Uu]ncorrectable ECC|CUDA_ERROR_ECC_UNCORRECTABLE|"
            r"CUDA_ERROR_UNKNOWN|hardware error|unspecified launch failure"
        ),
        Cause.GPU_FAULT,
        "its GPU, or the driver, seems to be at fault",
        ("`nvidia-smi` and `dmesg | grep Xid` show what the driver reported", "try it on another GPU"),
    ),
    Sign(
        re.compile(r"(?:ModuleNotFoundError: No module named|Cannot find module) ['\"](?P<what>[^'\"]+)"),
        Cause.MISSING_MODULE,
        "a module that it needs, {}, seems not to be installed for its interpreter",
        (
            "install it, or run the command with the Python of the right environment, such as `.venv/bin/python`",
        ),
    ),
    Sign(
        re.compile(r"^MemoryError\b|Unable to allocate .* for an array|std::bad_alloc|Cannot allocate memory"),
        Cause.OUT_OF_MEMORY,
        "it seems to have asked for more memory than it could have",
        ("let it use less memory, or raise its limit (`ulimit -v`)",),
    ),
)  # fmt: skip
"""The signs that decide by themselves, the most telling first."""
