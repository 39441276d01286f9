"""`aqueue ls --watch`: a list on a terminal that is redrawn when something changes."""

import signal
from collections.abc import Iterator

import pytest

from tests.acceptance.driving import Place
from tests.acceptance.screen import Screen
from tests.waiting import eventually


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
