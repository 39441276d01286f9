"""The seam between a server and whoever runs its attempts.

A server knows an executor and its attempts by these two protocols alone. Local processes are in `local`.
"""

from typing import Protocol

from aqueue.model.outcome import Outcome
from aqueue.model.run import Run


class Attempt(Protocol):
    """One start of a run, from its claim, or its adoption, to its end."""

    @property
    def run(self) -> Run:
        """Return the run as it was claimed; `run.attempt` says which attempt this is."""

    @property
    def handle(self) -> str | None:
        """Return what the executor finds it again by, as text that the store keeps; None if there is none yet."""

    async def outcome(self) -> Outcome:
        """Wait until the attempt is over, and say how it ended; asked once.

        It sees to the run's timeout. When it returns, or raises, nothing of the attempt goes on any more: whoever
        waited may give its slots to others. Cancelled, it leaves the attempt as it is, to be adopted.
        """

    def stop(self, why: str) -> None:
        """Have the attempt stopped, and return at once. Stopped before, disowned or over, it stays as it is."""

    def disown(self) -> None:
        """Leave the attempt alone from now on: another server sees it through, and has its outcome."""


class Executor(Protocol):
    """A way to run attempts."""

    @property
    def name(self) -> str:
        """Return what an attempt is marked with, so that the executor that started it can adopt it."""

    def shortage(self) -> str:
        """Say why nothing can be started now; empty if something can, as far as one can see."""

    def start(self, run: Run) -> Attempt:
        """Start the attempt of a claimed run, and return at once.

        That it cannot be started is an outcome: `FAILED_TO_START` if that is the fault of its task, and
        `NEVER_STARTED` if nothing ever ran, nothing ever will, and it may be tried again.
        """

    def prepare(self) -> None:
        """Do ahead what makes the next start quicker; called in idle moments."""

    def close(self) -> None:
        """Give back what `prepare` has taken. Attempts go on."""

    def others_are_serving(self) -> None:
        """Take note that other servers are up, whose runs may be in the same working directories as those here."""

    def adopt(self, run: Run, handle: str | None, boot: str) -> Attempt:
        """See an attempt of this executor through that a server has left which is gone, and return at once.

        It may go on, be over, or never have begun; if it had not, it never will. Its outcome says which.

        Args:
            handle: of the attempt, if that server came to note it.
            boot: the boot of the machine in which that server was started; empty if that is not known.
        """
