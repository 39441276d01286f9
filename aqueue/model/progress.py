"""Progress of running commands."""

from enum import StrEnum

import msgspec


class Source(StrEnum):
    """The origin of a report."""

    LINE = "line"
    """A line that begins with `AQUEUE_PROGRESS`."""
    PATTERN = "pattern"
    """A line that fits the task's own pattern."""
    BAR = "bar"
    """A progress bar of tqdm."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of a command, as it last said it.

    Attributes:
        fraction: from 0 to 1.
        done, total: the two counts, if it gave counts.
        text: what it said beside them, such as the name of a bar.
        bar: the seconds that a bar has taken, and those that it expects to take; None if it does not say.
    """

    fraction: float
    source: Source
    done: float | None = None
    total: float | None = None
    text: str = ""
    bar: tuple[float, float] | None = None


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of a run, as far as it is known.

    Attributes:
        report: what its command says; None if it says nothing.
        left: the seconds that it probably still takes; None if unknown.
        usual: the median duration of runs like it in seconds; None if unknown, or if its command tells more.
    """

    report: Report | None = None
    left: float | None = None
    usual: float | None = None
