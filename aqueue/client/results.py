"""Runs and their output as a program is given them."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from html import escape

from aqueue.client import logs
from aqueue.client.columns import columns_of
from aqueue.client.session import Warn, now
from aqueue.folder.layout import Folder
from aqueue.model.run import Run
from aqueue.model.values import Scalar


class Runs(list[Run]):
    """A list of runs that can be shown as a table."""

    def table(self) -> list[dict[str, Scalar]]:
        """Return a row for each run: id, name, queue, state, seconds taken, and its params and metrics.

        A metric of the name of a param is `lr (metric)`. `pandas.DataFrame(runs.table())` is a data frame.
        """
        columns = columns_of(sorted(self, key=lambda run: run.id), now())
        return [{key: column.of(run.id) for key, column in columns.items()} for run in self]

    def _repr_html_(self) -> str:
        """Return the table as a notebook shows it."""
        rows = self.table()
        head = _row("th", rows[0] if rows else ())
        return f"<table>{head}{''.join(_row('td', row.values()) for row in rows)}</table>"


class Log:
    """The output of a run.

    Args:
        run: as it is written.
        attempt: the number of the only attempt that is meant; None: the last, or all that follow.
        warn: is told why the run waits.
    """

    def __init__(self, folder: Folder, run: str, attempt: int | None, warn: Warn) -> None:
        self._folder = folder
        self._run = run
        self._attempt = attempt
        self._warn = warn

    def bytes(self) -> bytes:
        """Return what was written so far, as it was written.

        Raises:
            RunError: there is no such run or attempt, or no output.
        """
        return b"".join(logs.output(self._folder, self._run, self._attempt))

    def text(self) -> str:
        """Return what was written so far; what is no UTF-8 is replaced.

        Raises:
            RunError: there is no such run or attempt, or no output.
        """
        return self.bytes().decode(errors="replace")

    def follow(self) -> Iterator[str]:
        """Return lines as they are written, without their ends, until the run is over.

        Raises:
            RunError: there is no such run or attempt, no output, or only a person can have the run started.
        """
        decoder, rest = codecs.getincrementaldecoder("utf-8")(errors="replace"), ""
        for piece in logs.follow(self._folder, self._run, self._attempt, self._warn):
            if isinstance(piece, logs.Note):
                if piece.is_warning:
                    self._warn(piece.text)
                continue
            *lines, rest = (rest + decoder.decode(piece)).split("\n")
            yield from lines
        rest += decoder.decode(b"", final=True)
        if rest:
            yield rest


def _row(cell: str, values: Iterable[object]) -> str:
    return f"<tr>{''.join(f'<{cell}>{escape(str(value))}</{cell}>' for value in values)}</tr>"
