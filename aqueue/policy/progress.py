r"""The progress that the end of an output tells. Pure.

In this order: a line `AQUEUE_PROGRESS 3/10 [text]`, or with `30%` or `0.3`; a line that fits the task's pattern; a
bar of tqdm. The last one counts. A line without its end may be incomplete, and does not.
"""

import math
import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from aqueue.model.progress import Report, Source
from aqueue.policy.error_lines import lines_of
from aqueue.policy.progress_pattern import LONGEST

TAIL: Final = 8 << 10
"""The number of bytes at the end of an output that are searched."""

_MARKER: Final = b"AQUEUE_PROGRESS "
_BAR_MARKER: Final = b"%|"
_UP: Final = b"\x1b[A"
_LONGEST_TEXT: Final = 80
_NUMBER: Final = r"\d{1,15}(?:\.\d{1,15})?"
_TOLD: Final = re.compile(rf"(?:({_NUMBER})/({_NUMBER})|({_NUMBER})(%?))(?:\s+(.*))?", re.ASCII)
_COUNT: Final = rf"({_NUMBER}[kMGTPEZY]?)"
_TIME: Final = r"(?:\d{1,6}:)?\d{1,6}:\d\d"
_REST_OF_BAR: Final = re.compile(rf"[^|]*\| *{_COUNT}/{_COUNT} \[({_TIME})<({_TIME}|\?)[,\]]".encode(), re.ASCII)
_POWERS: Final = "kMGTPEZY"


class _Bar(NamedTuple):
    """One state of a bar, as tqdm writes it."""

    text: bytes
    done: str
    total: str
    took: str
    left: str


def find(tail: bytes, pattern: re.Pattern[str] | None = None, *, is_whole: bool = True) -> Report | None:
    r"""Return what an output says last of its progress; None if it says nothing.

    Args:
        tail: its end; at most `TAIL` bytes are useful.
        pattern: the task's own, with one group or two. Where there is one, bars are those of its parts.
        is_whole: whether the tail is the whole output, so that its first line is complete.

    >>> find(b"AQUEUE_PROGRESS 3/10 training\n").fraction
    0.3
    """
    if _MARKER in tail and (found := _in_marked(tail, is_whole)):
        return found
    if pattern is not None:
        return _fitting(tail, pattern, is_whole)
    return _in_bars(tail, is_whole) if _BAR_MARKER in tail else None


def seconds_left(report: Report, took: float, silent: float) -> float | None:
    """Return the seconds that a command probably still takes; None if its progress does not tell.

    A bar tells only if it has been there for most of the time: it may be one of many that follow each other.

    Args:
        took: the seconds from the start of the command to its last output.
        silent: the seconds since then.
    """
    if report.source is Source.BAR:
        if report.bar is None or report.bar[0] < took / 2:
            return None
        left = report.bar[1] - silent
    elif report.fraction <= 0 or took <= 0:
        return None
    else:
        left = took * (1 - report.fraction) / report.fraction - silent
    return left if left > 0 and math.isfinite(left) else None


def _in_marked(tail: bytes, is_whole: bool) -> Report | None:
    for piece in _pieces(tail, is_whole, _MARKER):
        line = _shown(piece)
        told = _TOLD.fullmatch(line.removeprefix(_MARKER.decode()).strip())
        if told is None or not line.startswith(_MARKER.decode()):
            continue
        done, total, number, sign, text = told.groups()
        found = _counts(done, total) if done else _share(float(number) / (100 if sign else 1))
        if found is not None:
            return _report(found, Source.LINE, text or "")
    return None


def _fitting(tail: bytes, pattern: re.Pattern[str], is_whole: bool) -> Report | None:
    for piece in _pieces(tail, is_whole):
        for match in reversed([*pattern.finditer(_shown(piece)[:LONGEST])]):
            if (found := _of_groups(match)) is not None:
                return _report(found, Source.PATTERN)
    return None


def _of_groups(match: re.Match[str]) -> tuple[float, float | None, float | None] | None:
    texts = [(text or "").strip().replace(",", "") for text in match.groups()]
    if not all(re.fullmatch(_NUMBER, text, re.ASCII) for text in texts):
        return None
    if len(texts) == 2:
        return _counts(*texts)
    (text,) = texts
    is_percent = "." not in text or float(text) > 1 or match.string[match.end(1) :].lstrip().startswith("%")
    return _share(float(text) / (100 if is_percent else 1))


def _in_bars(tail: bytes, is_whole: bool) -> Report | None:
    """Return the report of the last bar; of several at a time, of the one around the others."""
    last: dict[tuple[bytes, str], _Bar] = {}
    for piece in _pieces(tail, is_whole, _BAR_MARKER, are_ended=False):
        if bar := _bar(piece):
            last.setdefault((bar.text, bar.total), bar)
    going = [bar for bar in last.values() if bar.done != bar.total]
    # Of several at a time, which move the cursor up, the one around the others began first.
    shown = going if _UP in tail and going else [*last.values()][:1]
    outer = max(shown, key=lambda bar: _seconds(bar.took), default=None)
    if outer is None or (found := _counts(_written_out(outer.done), _written_out(outer.total))) is None:
        return None
    times = None if outer.left == "?" else (_seconds(outer.took), _seconds(outer.left))
    return _report(found, Source.BAR, _shown(outer.text).rstrip().removesuffix(":"), times)


def _bar(piece: bytes) -> _Bar | None:
    text, _, rest = piece.partition(_BAR_MARKER)
    found = _REST_OF_BAR.match(rest)
    return _Bar(text.rstrip(b"0123456789"), *(part.decode() for part in found.groups())) if found else None


def _pieces(tail: bytes, is_whole: bool, holding: bytes = b"", *, are_ended: bool = True) -> Iterator[bytes]:
    """Yield the lines that hold some bytes, the last first; one that was rewritten, as several."""
    pieces = tail.replace(b"\r", b"\n").split(b"\n")
    first, last = 0 if is_whole else 1, len(pieces) - are_ended
    return (piece for piece in reversed(pieces[first:last]) if holding in piece)


def _shown(piece: bytes) -> str:
    """Return a line as a terminal shows it."""
    return lines_of(piece.decode(errors="replace"))[0].lstrip()


def _counts(done: str, total: str) -> tuple[float, float, float] | None:
    if not float(total):
        return None
    return min(float(done) / float(total), 1.0), float(done), float(total)


def _share(fraction: float) -> tuple[float, None, None] | None:
    return (fraction, None, None) if fraction <= 1 else None


def _report(
    found: tuple[float, float | None, float | None],
    source: Source,
    text: str = "",
    bar: tuple[float, float] | None = None,
) -> Report:
    fraction, done, total = found
    short = text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
    return Report(fraction=fraction, source=source, done=done, total=total, text=short, bar=bar)


def _written_out(count: str) -> str:
    """Return a count of tqdm without its unit: `1.5k` as `1500.0`."""
    unit = count[-1]
    return str(float(count[:-1]) * 1000 ** (_POWERS.index(unit) + 1)) if unit in _POWERS else count


def _seconds(time: str) -> float:
    """Return a time of tqdm, such as `1:02:03`, in seconds."""
    seconds = 0.0
    for part in time.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds
