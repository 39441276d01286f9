"""A client of a folder of its own, for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from aqueue import Client


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.delenv("AQUEUE_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    # That no server is running yet is no mistake here.
    with Client.create("queue", warn=lambda _: None) as queue:
        yield queue
