"""A terminal with a command in it."""

import fcntl
import os
import pty
import struct
import termios
import threading

from tests.acceptance.driving import Place


class Screen:
    """A terminal with a command in it."""

    def __init__(self, place: Place, *arguments: str) -> None:
        self._ours, theirs = pty.openpty()
        self.resize(80, 24)
        environment = {"COLUMNS": "", "TERM": "xterm"}
        self.process = place.start(*arguments, env=environment, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.written = b""
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            while piece := os.read(self._ours, 1 << 16):
                self.written += piece
        except OSError:
            # The command is over.
            return

    @property
    def text(self) -> str:
        """Return what was drawn last."""
        return self.written.decode(errors="replace").rpartition("\x1b[H")[2]

    def resize(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def ends(self) -> int:
        code = int(self.process.wait(20.0))
        self._thread.join(5.0)
        return code

    def close(self) -> None:
        self.process.kill()
        self._thread.join(5.0)
        os.close(self._ours)
