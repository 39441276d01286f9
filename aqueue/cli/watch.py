"""A list that is redrawn when something in the folder changes."""

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Final

import click

from aqueue.client.follow import news_of
from aqueue.client.session import watch_for_removal
from aqueue.folder.layout import Folder
from aqueue.visible import visible_line

_REDRAW_SECONDS: Final = 5.0
"""The time after which durations are redrawn although nothing has changed."""

_PAUSE_SECONDS: Final = 0.1
"""The time between two drawings, however many changes there are."""

_ENTER: Final = "\x1b[?1049h\x1b[?25l\x1b[?7l"
"""The other screen of the terminal, without a cursor, and without wrapped lines."""

_LEAVE: Final = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME: Final = "\x1b[H"
_NEW_LINE: Final = "\x1b[K"
_SCREEN_END: Final = "\x1b[J"
_DEFAULT_HEIGHT: Final = 24

Screen = tuple[list[str], list[str]]
"""The lines of a table, and notes about it."""


def redraw(folder: Folder, screen_of: Callable[[int], Screen]) -> None:
    """Draw a screen again and again, until Ctrl-C; the last one stays.

    Args:
        screen_of: returns the screen as it is now, with at most so many rows.

    Raises:
        UsageError: standard output is no terminal.
    """
    if not sys.stdout.isatty():
        raise click.UsageError(
            "--watch needs a terminal\nfor scripts, there are `aqueue wait` and `Client.events()`"
        )
    screen: Screen = ([], [])
    wait_for_news = news_of(folder, watch_for_removal(folder))
    # Whoever watches the folder is woken, and so is this command.
    before = signal.signal(signal.SIGWINCH, lambda *_: folder.notify_clients())
    _write(_ENTER)
    try:
        while True:
            height = _height()
            screen = screen_of(max(height - 4, 1))
            lines = "".join(f"{_NEW_LINE}{line}\n" for line in _fitting(screen, height))
            _write(_HOME + lines + _SCREEN_END)
            time.sleep(_PAUSE_SECONDS)
            wait_for_news(_REDRAW_SECONDS)
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGWINCH, before)
        _write(_LEAVE)
    _write("".join(f"{line}\n" for line in _fitting(screen, None)))


def _fitting(screen: Screen, height: int | None) -> list[str]:
    """Return the lines of a screen: as much of the table as fits, and all notes."""
    lines, notes = screen[0], [visible_line(text) for text in screen[1]]
    return [*(lines if height is None else lines[: max(height - len(notes) - 1, 1)]), *notes]


def _height() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).lines or _DEFAULT_HEIGHT
    except OSError:
        return _DEFAULT_HEIGHT


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
