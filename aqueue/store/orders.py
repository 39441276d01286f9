"""Orders that get through although the disk is full.

A command that cannot write to the database for want of room writes its order into a file that was made beforehand:
overwriting needs no room. Servers obey an order at once, and remove it from the file when the
database has it. So an order survives the death of the command and of the server.
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
    """A run is to be stopped, or not to be started.

    Attributes:
        attempt: the number of its last attempt when that was said.
    """

    run: int
    attempt: int
    reason: str


class Leave(msgspec.Struct, frozen=True, tag="leave"):
    """A server is to leave."""

    server: str
    leaving: Leaving


Order = Cancel | Leave

_encoder: Final = msgspec.json.Encoder()
_decoder: Final[msgspec.json.Decoder[Order]] = msgspec.json.Decoder(Order)


class OrderFile:
    """The file of a folder in which orders lie, a line each; empty bytes follow.

    Args:
        path: where it is, or is to be made.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def prepare(self) -> None:
        """Make the file, as long as it will ever be; one that is there keeps its orders.

        Raises:
            DiskFullError: there is no room for it.
            OSError: it cannot be made.
        """
        with self._opened(os.O_CREAT | os.O_RDWR) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            size = os.fstat(file).st_size
            try:
                while size < _SIZE:
                    # Zeros that are really written: a file with a hole in it would need room later.
                    size += os.pwrite(file, bytes(_SIZE - size), size)
            except OSError as error:
                if error.errno in DISK_FULL:
                    raise DiskFullError(
                        f"the disk is full: there is no room for {self._path}", "make room"
                    ) from error
                raise

    def give(self, orders: Sequence[Order]) -> None:
        """Leave orders, so that they are on the disk.

        Raises:
            OSError: that cannot be done: too many are there, or the file cannot be written in place.
        """
        with self._opened(os.O_RDWR) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            content = _content(file)
            # An order that was written only in part is overwritten.
            content = content[: content.rfind(b"\n") + 1]
            lines = b"".join(_encoder.encode(one) + b"\n" for one in orders if one not in _orders_in(content))
            if len(content) + len(lines) > os.fstat(file).st_size:
                raise OSError(f"{self._path} is full of orders")
            os.pwrite(file, lines, len(content))
            os.fsync(file)

    def read(self) -> list[Order]:
        """Return the orders that lie there, first to last; none where they cannot be read."""
        with contextlib.suppress(OSError), self._opened(os.O_RDONLY) as file:
            # There are hardly ever any.
            if os.pread(file, 1, 0) not in (b"", _EMPTY):
                return _orders_in(_content(file))
        return []

    def remove(self, done: Collection[Order]) -> None:
        """Remove orders that the database has; one that cannot be removed now does no harm."""
        with contextlib.suppress(OSError), self._opened(os.O_RDWR) as file:
            # A command that gives an order must not block a server.
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
    """Return the orders that were written whole."""
    found = []
    for line in content.split(b"\n")[:-1]:
        with contextlib.suppress(msgspec.MsgspecError):
            found.append(_decoder.decode(line))
    return found
