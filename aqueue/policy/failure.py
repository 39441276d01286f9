"""An attempt that failed, as the rules that find the cause see it."""

from typing import NamedTuple

from aqueue.model.diagnosis import Facts
from aqueue.model.run import Attempt, Run
from aqueue.policy.error_lines import ErrorLine


class Failure(NamedTuple):
    """An attempt that failed.

    Attributes:
        error: the line of its output that tells why; None if it has no output.
        text: the last lines of its output.
    """

    facts: Facts
    run: Run
    attempt: Attempt
    reason: str
    error: ErrorLine | None
    text: str

    @property
    def retry(self) -> str:
        """Return the advice to try it again."""
        return f"`aqueue retry {self.run.id}` queues it again"

    @property
    def message(self) -> tuple[str, ...]:
        """Return the line of its output that tells why, as evidence; nothing if it has no output."""
        return () if self.error is None else (f"its output says: {self.error.text}",)
