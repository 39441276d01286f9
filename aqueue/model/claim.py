"""Claims: what a server has seen of the GPUs, and the runs that it is given."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from aqueue.model.gpu import GpuReading
from aqueue.model.run import Run


class GpuView(NamedTuple):
    """The readings of the GPUs that a server has.

    Attributes:
        look: the last look; None if there was none.
        before: the one before that.
        is_news: whether the store has not been told of the last one.
        is_prompt: whether the next one can be had at once, so that a run which needs it keeps its slot meanwhile.
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
        look: the last look, with what it meant for our own runs.
        needs_look: whether more may be given once somebody has looked at the GPUs.
        is_vetoed: whether a run waits only for what looks will show.
        lacking: runs that ask for GPUs that there are not, each with the words for that.
    """

    runs: list[Run]
    look: GpuReading | None = None
    needs_look: bool = False
    is_vetoed: bool = False
    lacking: Sequence[tuple[int, str]] = ()
