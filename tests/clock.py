"""A clock for tests of what takes time."""

from aqueue.clock import Clock


class SetClock(Clock):
    """Stands still until it is set."""

    time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time
