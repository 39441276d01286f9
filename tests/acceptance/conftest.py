"""A place to use aqueue in, for each test."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.driving import Place


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """Restore Ctrl-C: what a shell starts in the background ignores it, and hands that on."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """An empty directory for a folder; no process that was started there outlives the test."""
    place = Place(tmp_path)
    try:
        yield place
    finally:
        place.close()
