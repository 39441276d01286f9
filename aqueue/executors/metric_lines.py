"""A search for lines that begin with `AQUEUE_METRIC`, in an output of any size and in bounded time.

The search starts at the end: the last value of a name counts, so a line whose names are all known adds nothing. In
a large output most lines are like that, and many are skipped at once. The search stops after a certain amount of
work, so the middle of a larger output is left out. Work is measured instead of time, so that the same output
always gives the same metrics.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

BLOCK: Final = 1 << 17
"""The number of bytes searched at a time; the first block of an output is always searched."""

MAX_WORK: Final = 64 << 20
"""The work after which the search from the end stops, in bytes of output without metrics."""

LONGEST_TEXT: Final = 200
"""The maximum number of characters of a text metric."""

LONGEST_NAME: Final = 100
"""The maximum number of characters of the name of a metric."""

ReadAt = Callable[[int, int], bytes]
"""A function that returns the bytes of an output from a position on, at most a given number."""

# The cost of steps slower than the search for the marker, in bytes of that search.
_SKIPPED = 8
_PARSED = 4000
_FIRST_BLOCK = 1 << 13
_MAX_SHAPES = 32
_LONGEST_VALUE = LONGEST_TEXT + len("''")
_LONGEST_LINE = 1 << 16
_SHOWN = 60

_MARKER = b"AQUEUE_METRIC "
_COLOUR = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")
_BEFORE = re.compile(rb"(?:[ \t]|\x1b\[[0-9;?]*[A-Za-z])*")
_PAIR = re.compile(r"""(?<!\S)([^\s=]+)=("[^"]*"|'[^']*'|\S+)""")


class Search:
    """A search of one output.

    Attributes:
        found: the last value of each name, as written, in the order in which the names first appear.
        malformed: the first line with a marker but no metric, shortened; empty if there is none.
        is_partial: whether there are metrics and the middle of the output was left out.
    """

    def __init__(self, read_at: ReadAt, size: int) -> None:
        self.found: dict[str, str] = {}
        self.malformed = ""
        self._read_at = read_at
        self._work = 0
        self._shapes: set[tuple[str, ...]] = set()
        self._known: re.Pattern[bytes] | None = None
        self._local: dict[str, str] = {}
        left = self._search(size)
        if left > BLOCK:
            self._work = 0
            self._search(BLOCK, is_cut=True)
        self.is_partial = left > BLOCK and bool(self.found or self.malformed)

    def _search(self, end: int, *, is_cut: bool = False) -> int:
        """Search backwards from `end`, and return the position reached.

        Args:
            is_cut: whether the last line continues after `end`.
        """
        for position, block in self._blocks(end, is_cut):
            self._take(block)
            if self._work >= MAX_WORK:
                return position
        return 0

    def _blocks(self, end: int, is_cut: bool) -> Iterator[tuple[int, bytes]]:
        """Yield blocks of whole lines, the last first, each with its position.

        A carriage return, as in a progress bar, ends a line, too. A line longer than a block is left out.
        """
        # In the first block nothing can be skipped yet.
        size = _FIRST_BLOCK
        while end > 0:
            start = max(0, end - size)
            block = self._read_at(start, end - start).replace(b"\r", b"\n")
            self._work += len(block)
            first = block.find(b"\n") + 1 if start else 0
            is_within_line = start > 0 and first in (0, len(block))
            is_largest, size = size == BLOCK, min(2 * size, BLOCK)
            if is_within_line and is_largest:
                yield start, b""
                end, is_cut = start, True
            if is_within_line:
                continue
            last = block.rfind(b"\n") + 1 if is_cut else len(block)
            yield start + first, block[first:last]
            end, is_cut = start + first, False

    def _take(self, block: bytes) -> None:
        self._local = {}
        malformed = ""
        for line in self._marked(block):
            text = (_COLOUR.sub(b"", line) if b"\x1b" in line else line).decode(errors="replace")
            pairs = _PAIR.findall(text)
            self._work += _PARSED * len(pairs)
            if not pairs:
                malformed = malformed or (_MARKER.decode() + text.strip())[:_SHOWN]
            for name, value in pairs:
                if len(value) <= _LONGEST_VALUE and is_name(name):
                    self._local[name] = value
            self._remember_shape(text, pairs)
        # Values in later blocks win; the order is that of the first appearance.
        self.found = self._local | self.found
        self.malformed = malformed or self.malformed
        self._known = _lines_of(self._shapes) if self._shapes else None

    def _remember_shape(self, text: str, pairs: list[tuple[str, str]]) -> None:
        """Remember a shape, so that plain lines with the same names are skipped in earlier blocks."""
        shape = tuple(name for name, _ in pairs)
        if not pairs or shape in self._shapes or len(self._shapes) == _MAX_SHAPES or '"' in text or "'" in text:
            return
        is_plain = text == " ".join(f"{name}={value}" for name, value in pairs)
        if is_plain and all(name in self._local or name in self.found for name in shape):
            self._shapes.add(shape)

    def _marked(self, block: bytes) -> Iterator[bytes]:
        """Yield the text after the marker of each line that begins with it, unless all of its names are known."""
        known = self._known
        at = block.find(_MARKER)
        while at >= 0:
            start = block.rfind(b"\n", 0, at) + 1
            if start == at and known is not None and (skipped := known.match(block, at)):
                self._work += _SKIPPED * (skipped.end() - at)
                at = block.find(_MARKER, skipped.end())
                continue
            self._work += _PARSED
            end = block.find(b"\n", at)
            end = len(block) if end < 0 else end
            if end - start <= _LONGEST_LINE and _BEFORE.fullmatch(block, start, at):
                yield block[at + len(_MARKER) : end]
            at = block.find(_MARKER, end)


def is_name(text: str) -> bool:
    """Return True if a metric may have this name."""
    return len(text) <= LONGEST_NAME and text.isprintable()


def _lines_of(shapes: set[tuple[str, ...]]) -> re.Pattern[bytes]:
    """Return a pattern for as many lines as possible that have exactly the names of one of the shapes."""
    alternatives = b"|".join(
        b" ".join(re.escape(name.encode()) + rb"=[^\s\"']\S*" for name in shape) for shape in sorted(shapes)
    )
    return re.compile(b"(?:" + _MARKER + b"(?:" + alternatives + b")\n)++")
