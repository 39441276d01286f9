"""The clocks, as one object that tests can replace."""

import time
from functools import cache
from pathlib import Path
from typing import Final

_BOOT: Final[int | None] = getattr(time, "CLOCK_BOOTTIME", None)


@cache
def boot() -> str:
    """Return what names this boot of the machine; empty where that cannot be told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


class Clock:
    """Tells the time of day and measures how long things take."""

    def now(self) -> float:
        """Seconds since the epoch, as the wall clock has it; it may jump."""
        return time.time()

    def since_boot(self) -> float:
        """Seconds since the machine was started, time asleep included; the same for all processes."""
        if _BOOT is None:
            return time.monotonic()
        return time.clock_gettime(_BOOT)

    def ahead(self) -> float:
        """Seconds by which the wall clock is ahead of the time since boot: the same until it is set."""
        return self.now() - self.since_boot()

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back."""
        return time.monotonic()
