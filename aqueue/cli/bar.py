"""The bar that shows how far the runs are that somebody waits for."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from aqueue.cli.plain_table import Cut, cut, terminal_width
from aqueue.client.follow import RECHECK_SECONDS, Progress
from aqueue.client.forecasts import Forecasts
from aqueue.client.progress_words import forecast_in_words
from aqueue.client.session import reading
from aqueue.folder.layout import Folder
from aqueue.model.run import State
from aqueue.store.store import Store
from aqueue.units import spell_about

_REDRAW_SECONDS: Final = 1.0
_WIDTH: Final = 24
_WITHOUT_CURSOR: Final = ("", "dumb", "unknown")
_LINE_START: Final = "\r\x1b[K"


class Bar:
    """The bar on standard error; one that is not wanted draws nothing.

    Attributes:
        seconds: the time between two drawings.
    """

    def __init__(self, folder: Folder, *, is_drawn: bool) -> None:
        self.seconds = _REDRAW_SECONDS if is_drawn else RECHECK_SECONDS
        self._folder = folder
        self._is_drawn = is_drawn
        self._ended = 0
        self._failed = 0

    def draw(self, progress: Progress) -> None:
        """Draw how far the runs are that are left."""
        self._ended += len(progress.ended)
        self._failed += sum(run.state is not State.SUCCEEDED for run in progress.ended)
        if self._is_drawn and progress.left:
            with reading(self._folder) as store:
                line = self._line(store, progress.left)
            _write(_LINE_START + cut(line, terminal_width() - 1, Cut.END))

    def clear(self) -> None:
        """Remove the bar, so that something can be printed."""
        if self._is_drawn:
            _write(_LINE_START)

    def _line(self, store: Store, left: frozenset[int]) -> str:
        forecasts = Forecasts(store, self._folder)
        total = self._ended + len(left)
        if total == 1 and (run := store.runs.get(*left)) is not None:
            words = forecast_in_words(forecasts.of(run))
            return f"{_drawn(forecasts.part_of(left))} run {run.id} {run.name} {run.state}" + (
                words and f", {words}"
            )
        parts = [f"{self._ended}/{total}"]
        parts += [f"{self._failed} did not succeed"] if self._failed else []
        seconds = forecasts.left(left)
        parts += [f"{spell_about(seconds)} left"] if seconds else []
        return f"{_drawn((self._ended + forecasts.part_of(left)) / total)} {', '.join(parts)}"


@contextmanager
def bar_for(folder: Folder, *, is_wanted: bool) -> Iterator[Bar]:
    """Yield a bar, which is drawn if it is wanted and a person looks; it is removed at the end."""
    has_cursor = os.environ.get("TERM", "").lower() not in _WITHOUT_CURSOR
    bar = Bar(folder, is_drawn=is_wanted and has_cursor and sys.stdout.isatty() and sys.stderr.isatty())
    try:
        yield bar
    finally:
        bar.clear()


def _drawn(fraction: float) -> str:
    full = int(fraction * _WIDTH)
    return f"[{'#' * full}{'.' * (_WIDTH - full)}]"


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()
