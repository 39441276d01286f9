"""`aqueue ls --watch`: a list on a terminal that is redrawn when something changes."""

import fcntl
import os
import pty
import signal
import struct
import termios
import threading
from collections.abc import Iterator

import pytest

from tests.acceptance.driving import Place
from tests.waiting import eventually


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


@pytest.fixture
def screen(place: Place) -> Iterator[Screen]:
    place.init()
    place.add("true", "-n", "first")
    screen = Screen(place, "ls", "--watch")
    try:
        eventually(lambda: "first" in screen.text)
        yield screen
    finally:
        screen.close()


def test_a_change_is_drawn_soon_and_the_last_list_stays(place: Place, screen: Screen) -> None:
    assert screen.written.startswith(b"\x1b[?1049h")
    place.add("true", "-n", "second")
    eventually(lambda: "second" in screen.text, seconds=4.0)
    place.drain()
    eventually(lambda: screen.text.count("succeeded") == 2, seconds=4.0)
    screen.process.send_signal(signal.SIGINT)
    assert screen.ends() == 0
    kept = screen.written.decode().rpartition("\x1b[?1049l")[2]
    assert [kept.count(word) for word in ("first", "second", "succeeded")] == [1, 1, 2]


def test_a_resized_terminal_is_drawn_anew(screen: Screen) -> None:
    assert "left out" not in screen.text
    screen.resize(30, 24)
    screen.process.send_signal(signal.SIGWINCH)
    eventually(lambda: " left out: " in screen.text, seconds=4.0)
