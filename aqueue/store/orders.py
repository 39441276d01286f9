"""Orders that reach servers even if the disk is full.

A command that finds the disk full writes its order into a file created beforehand: overwriting needs no space.
Servers carry out an order at once, and remove it from the file when it is in the database. So an order survives
the death of the command and of the server.
"""

import contextlib
import fcntl
import os
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import msgspec

from aqueue.errors import DISK_FULL, DiskFullError
from aqueue.model.server import Leaving

_SIZE: Final = 1 << 16
_EMPTY: Final = b"\0"


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """An order to cancel a run.

    Attributes:
        attempt: the number of its last attempt at the time of the order.
    """

    run: int
    attempt: int
    reason: str


class Leave(msgspec.Struct, frozen=True, tag="leave"):
    """An order to a server to leave."""

    server: str
    leaving: Leaving


Order = Cancel | Leave

_encoder: Final = msgspec.json.Encoder()
_decoder: Final[msgspec.json.Decoder[Order]] = msgspec.json.Decoder(Order)


class OrderFile:
    """The order file of a folder: one order a line, followed by zero bytes.

    Args:
        path: its path.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def prepare(self) -> None:
        """Create the file at its final size; an existing file keeps its orders.

        Raises:
            DiskFullError: there is no room for it.
            OSError: it cannot be created.
        """
        with self._opened(os.O_CREAT | os.O_RDWR) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = os.fstat(file).st_size
            try:
                while size < _SIZE:
                    # Write zeros: a file with a hole would need space later.
                    size += os.pwrite(file, bytes(_SIZE - size), size)
            except OSError as error:
                if error.errno in DISK_FULL:
                    raise DiskFullError(
                        f"the disk is full: there is no room for {self._path}", "free some space"
                    ) from error
                raise

    def give(self, orders: Sequence[Order]) -> None:
        """Write orders, durably.

        Raises:
            OSError: the file is full of orders, or cannot be overwritten.
        """
        with self._opened(os.O_RDWR) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            content = _content(file)
            # Overwrite an order that was written only in part.
            content = content[: content.rfind(b"\n") + 1]
            lines = b"".join(_encoder.encode(one) + b"\n" for one in orders if one not in _orders_in(content))
            if len(content) + len(lines) > os.fstat(file).st_size:
                raise OSError(f"{self._path} is full of orders")
            os.pwrite(file, lines, len(content))
            os.fsync(file)

    def read(self) -> list[Order]:
        """Return the orders, oldest first; none if they cannot be read."""
        with contextlib.suppress(OSError), self._opened(os.O_RDONLY) as file:
            # One byte is enough in the usual case without orders.
            if os.pread(file, 1, 0) not in (b"", _EMPTY):
                return _orders_in(_content(file))
        return []

    def remove(self, done: Collection[Order]) -> None:
        """Remove orders that are in the database; one that remains for now does no harm."""
        with contextlib.suppress(OSError), self._opened(os.O_RDWR) as file:
            # A command that writes an order must not block a server.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            content = _content(file)
            left = b"".join(_encoder.encode(one) + b"\n" for one in _orders_in(content) if one not in done)
            os.pwrite(file, left.ljust(len(content), _EMPTY), 0)

    @contextlib.contextmanager
    def _opened(self, flags: int) -> Iterator[int]:
        file = os.open(self._path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            yield file
        finally:
            os.close(file)


def _content(file: int) -> bytes:
    return os.pread(file, _SIZE, 0).partition(_EMPTY)[0]


def _orders_in(content: bytes) -> list[Order]:
    """Return the orders that were written completely."""
    found = []
    for line in content.split(b"\n")[:-1]:
        with contextlib.suppress(msgspec.MsgspecError):
            found.append(_decoder.decode(line))
    return found
