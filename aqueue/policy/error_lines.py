"""The line of an output that tells why a command failed. Pure.

That is the last line of the last Python traceback; else, near the end, a line that names an error; else the last
line.
"""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

LONGEST: Final = 200
"""The maximum number of characters of a line."""

_NEAR_THE_END: Final = 30
"""The number of lines, from the end, among which a line that names an error is searched."""

_NEAR_A_TRACEBACK: Final = 100
"""The number of last lines in which a traceback must end: after one that it handles, a program goes on."""

_TRACEBACK: Final = "Traceback (most recent call last):"
_SEQUENCE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")
_GROUP: Final = re.compile(r"\+ Exception Group $")
_WRITTEN_BY_AQUEUE: Final = re.compile(r"aqueue: |\[aqueue: |AQUEUE_[A-Z]+ ")
_ERROR: Final = re.compile(
    r"(?:\S+: )*(?:(?:[\w.:]*(?:Error|Exception)|[Ee]rror|ERROR|[Ff]atal(?: [Ee]rror)?|FATAL|panic)\b|what\(\))"
    r"[^:]{0,40}:\s+[^\w\s]*[^\W\d]"
)
_OF_ANOTHER_PROCESS: Final = re.compile(
    r"[\w.]*(?:ChildFailedError|CalledProcessError|ProcessRaisedException|ProcessExitedException)\b"
)
"""Errors that only report that another process failed; its own traceback, if any, precedes theirs."""


class ErrorLine(NamedTuple):
    """The line that tells why a command failed.

    Attributes:
        text: the line, shortened.
        first: the index of the first line that belongs to it, such as that of its traceback.
        last: its own index.
        is_error: False if it is only the last line, which may have nothing to do with the failure.
    """

    text: str
    first: int
    last: int
    is_error: bool


def lines_of(output: str) -> list[str]:
    """Return an output as a terminal shows it: without control sequences, and each line as last rewritten."""
    return [_shown(line) for line in output.split("\n")]


def find(lines: Sequence[str]) -> ErrorLine | None:
    r"""Return the line that tells why a command failed; None if all lines are blank.

    Args:
        lines: the end of its output, as `lines_of` returns it.

    >>> find(lines_of("Traceback (most recent call last):\n  File …\nValueError: no data\nbye")).text
    'ValueError: no data'
    """
    if (found := _in_tracebacks(lines)) is not None:
        return found
    telling = [index for index, line in enumerate(lines) if line and not _WRITTEN_BY_AQUEUE.match(line)]
    for index in reversed(telling[-_NEAR_THE_END:]):
        if _ERROR.match(lines[index].strip()):
            return _error_line(lines, index, index)
    return _error_line(lines, telling[-1], telling[-1], is_error=False) if telling else None


def _in_tracebacks(lines: Sequence[str]) -> ErrorLine | None:
    starts = [index for index, line in enumerate(lines) if line.endswith(_TRACEBACK)]
    ends = [(start, end) for start in reversed(starts) if (end := _end_of(lines, start)) is not None]
    ends = [(start, end) for start, end in ends if end >= len(lines) - _NEAR_A_TRACEBACK]
    if not ends:
        return None
    found = (pair for pair in ends if not _OF_ANOTHER_PROCESS.match(lines[pair[1]]))
    return _error_line(lines, *next(found, ends[0]))


def _end_of(lines: Sequence[str], start: int) -> int | None:
    """Return the index of the error after a traceback's frames; None if the output ends before it."""
    prefix = _prefix(lines[start])
    for index in range(start + 1, len(lines)):
        line = lines[index].removeprefix(prefix)
        if line and not line[0].isspace():
            return index
    return None


def _prefix(first: str) -> str:
    """Return the prefix of the lines of a traceback, such as the rank of a process, from its first line."""
    return _GROUP.sub("| ", first.removesuffix(_TRACEBACK))


def _error_line(lines: Sequence[str], first: int, last: int, *, is_error: bool = True) -> ErrorLine:
    text = lines[last].removeprefix(_prefix(lines[first])).strip() if first != last else lines[last].strip()
    return ErrorLine(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…", first, last, is_error)


def _shown(line: str) -> str:
    if line.isprintable():
        return line.rstrip()
    rewritten = _SEQUENCE.sub("", line).expandtabs(4).split("\r")
    written = ["".join(filter(str.isprintable, part)).rstrip() for part in rewritten]
    return next(filter(None, reversed(written)), "")
