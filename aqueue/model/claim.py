"""The input and the result of a claim: a server's GPU readings, and the runs it is given."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from aqueue.model.gpu import GpuReading
from aqueue.model.run import Run


class GpuView(NamedTuple):
    """A server's latest readings of the GPUs.

    Attributes:
        reading: the latest; None before the first.
        previous: the one before it.
        is_news: whether `reading` is not in the store yet.
        is_prompt: whether the next reading is due soon enough for a run to keep its slot until then.
    """

    reading: GpuReading | None = None
    previous: GpuReading | None = None
    is_news: bool = False
    is_prompt: bool = True


NO_VIEW: Final = GpuView()


class ClaimResult(NamedTuple):
    """The result of a claim.

    Attributes:
        runs: the claimed runs, now running, each with its next attempt.
        reading: the latest reading, with `Gpu.doubts` counted.
        needs_reading: whether a run waits only for a fresh reading.
        is_vetoed: whether a run waits because of what a reading shows; later readings may differ.
        lacking: runs that request GPUs which do not exist, each with the reason.
    """

    runs: list[Run]
    reading: GpuReading | None = None
    needs_reading: bool = False
    is_vetoed: bool = False
    lacking: Sequence[tuple[int, str]] = ()
