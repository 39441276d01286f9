"""A place to use aqueue in, for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.driving import Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """An empty directory for a folder; no process that was started there outlives the test."""
    place = Place(tmp_path)
    try:
        yield place
    finally:
        place.close()
