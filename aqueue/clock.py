"""The clocks as one object, which tests can replace."""

import time
from functools import cache

# As in `typing`, which takes a while to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_BOOT: "Final[int | None]" = getattr(time, "CLOCK_BOOTTIME", None)


@cache
def boot() -> str:
    """Return the id of this boot of the machine; empty if unknown."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


class Clock:
    """The wall clock and the monotonic clocks of the machine."""

    def now(self) -> float:
        """Return the wall-clock time in seconds since the epoch; it may jump."""
        return time.time()

    def since_boot(self) -> float:
        """Return the seconds since boot, including suspends; the same for all processes."""
        if _BOOT is None:
            return time.monotonic()
        return time.clock_gettime(_BOOT)

    def ahead(self) -> float:
        """Return the seconds the wall clock is ahead of the time since boot; constant until it is set."""
        return self.now() - self.since_boot()

    def monotonic(self) -> float:
        """Return the seconds since a fixed time; never decreases."""
        return time.monotonic()
