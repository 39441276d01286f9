"""The two clocks, as one object that tests can replace."""

import time


class Clock:
    """Tells the time of day and measures how long things take."""

    def now(self) -> float:
        """Seconds since the epoch, as the wall clock has it; it may jump."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        return time.monotonic()
