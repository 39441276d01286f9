"""A second executor: its attempts are over when a test says so, and nothing runs at all."""

import anyio

from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run


class AttemptByHand:
    """An attempt that waits for a test."""

    def __init__(self, run: Run, handle: str | None) -> None:
        self.run = run
        self.handle = handle
        self.is_disowned = False
        self._outcome: Outcome | None = None
        self._error: Exception | None = None
        self._is_over = anyio.Event()

    async def outcome(self) -> Outcome:
        await self._is_over.wait()
        if self._error is not None:
            raise self._error
        assert self._outcome is not None
        return self._outcome

    def stop(self, why: str) -> None:
        if not self.is_disowned:
            self.end(End.STOPPED, why=why)

    def disown(self) -> None:
        self.is_disowned = True

    def end(
        self, end: End = End.EXITED, *, exit_code: int | None = None, why: str = "", at: float = 1001.0
    ) -> None:
        code = 0 if end is End.EXITED and exit_code is None else exit_code
        self._outcome = Outcome(run=self.run, end=end, at=at, exit_code=code, why=why)
        self._is_over.set()

    def fail(self, error: Exception) -> None:
        """Have it end with a defect of its executor."""
        self._error = error
        self._is_over.set()


class ByHand:
    """An executor of such attempts."""

    def __init__(self, name: str = "by hand") -> None:
        self.name = name
        self.attempts: dict[tuple[int, int], AttemptByHand] = {}
        """The last of each run and number."""
        self.adopted: list[tuple[int, str | None, str]] = []
        self.short_of = ""

    def shortage(self) -> str:
        return self.short_of

    def start(self, run: Run) -> AttemptByHand:
        return self._add(run, f"job {run.id}.{run.attempt}")

    def prepare(self) -> None:
        """There is nothing that could be done ahead."""

    def close(self) -> None:
        """There is nothing to give back."""

    def others_are_serving(self) -> None:
        """Nothing runs in any directory."""

    def adopt(self, run: Run, handle: str | None, boot: str) -> AttemptByHand:
        self.adopted.append((run.id, handle, boot))
        return self._add(run, handle)

    def _add(self, run: Run, handle: str | None) -> AttemptByHand:
        attempt = self.attempts[run.id, run.attempt] = AttemptByHand(run, handle)
        return attempt
