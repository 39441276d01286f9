"""The messages of a server to a service manager such as systemd, as in sd_notify(3)."""

import contextlib
import math
import os
import socket
from collections.abc import MutableMapping
from typing import Final, Self

_SECONDS: Final = 5.0
"""The longest time to wait for a manager that takes no messages."""


class ServiceManager:
    """The service manager that has started this server, if there is one.

    Args:
        address: the path of its socket, or `@` and the name of an abstract one; empty: there is none.
        watchdog: it restarts a server that gives no sign of life for so many seconds; infinity: never.
    """

    def __init__(self, address: str = "", watchdog: float = math.inf) -> None:
        self._address = address
        self._watchdog = watchdog

    @classmethod
    def take_from(cls, environment: MutableMapping[str, str]) -> Self:
        """Return the manager that an environment names, and remove it from there: it is not that of the runs."""
        address = environment.pop("NOTIFY_SOCKET", "")
        microseconds = environment.pop("WATCHDOG_USEC", "")
        is_watched = environment.pop("WATCHDOG_PID", "") in ("", str(os.getpid()))
        is_number = microseconds.isascii() and microseconds.isdigit() and int(microseconds) > 0
        return cls(address, int(microseconds) / 1e6 if is_watched and is_number else math.inf)

    @property
    def interval(self) -> float:
        """Return the seconds between two signs of life; infinity if none are wanted."""
        return self._watchdog / 2 if self._address else math.inf

    def is_ready(self) -> None:
        """Report that the server serves."""
        self._send("READY=1")

    def is_stopping(self) -> None:
        """Report that the server is about to exit.

        Not earlier: the manager kills what takes long to stop, and a server may wait for its runs for days.
        """
        self._send("STOPPING=1")

    async def show_life(self) -> None:
        """Send a sign of life."""
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        """Send a message. One that cannot be sent is dropped."""
        if not self._address:
            return
        # Abstract names begin with a NUL.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(_SECONDS)
            sender.sendto(message.encode(), address)
