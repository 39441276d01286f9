"""Claims: the readings of the GPUs that a server brings, and the runs that it is given."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from aqueue.model.gpu import GpuReading
from aqueue.model.run import Run


class GpuView(NamedTuple):
    """The readings of the GPUs that a server has.

    Attributes:
        look: the last reading; None if there was none.
        before: the one before that.
        is_news: whether the last one is not in the store yet.
        is_prompt: whether the next one comes at once, so that a run which needs it keeps its slot until then.
    """

    look: GpuReading | None = None
    before: GpuReading | None = None
    is_news: bool = False
    is_prompt: bool = True


NO_VIEW: Final = GpuView()


class ClaimResult(NamedTuple):
    """The result of a claim: runs to start, and what their GPUs still need.

    Attributes:
        runs: they are running now, each with its next attempt.
        look: the last reading, with what it meant for our own runs.
        needs_look: whether another reading may let more runs start.
        is_vetoed: whether a run waits only for later readings.
        lacking: runs that request GPUs which do not exist, each with the reason.
    """

    runs: list[Run]
    look: GpuReading | None = None
    needs_look: bool = False
    is_vetoed: bool = False
    lacking: Sequence[tuple[int, str]] = ()
