"""The inotify descriptor: it signals changes, and says when a path is no longer watched."""

import select
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aqueue.folder.doorbell import Doorbell

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there is no inotify")


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    path = tmp_path / "watched"
    path.mkdir()
    return path


@pytest.fixture
def bell(watched: Path) -> Iterator[Doorbell]:
    bell = Doorbell([str(watched)])
    yield bell
    bell.close()


def is_rung(bell: Doorbell) -> bool:
    return bool(select.select([bell], [], [], 0)[0])


def test_an_entry_that_appears_and_disappears_rings(bell: Doorbell, watched: Path) -> None:
    assert not is_rung(bell)
    (watched / "a name with an odd length").mkdir()
    (watched / "x").touch()
    (watched / "x").unlink()
    assert is_rung(bell)
    assert not bell.clear()
    assert not is_rung(bell)


def test_a_directory_that_was_removed_and_made_again_is_no_longer_watched(bell: Doorbell, watched: Path) -> None:
    watched.rmdir()
    watched.mkdir()
    assert bell.clear()


def test_a_directory_that_was_renamed_is_no_longer_watched_under_its_name(bell: Doorbell, watched: Path) -> None:
    watched.rename(watched.with_name("elsewhere"))
    assert bell.clear()


def test_a_call_without_an_event_returns_at_once(bell: Doorbell) -> None:
    assert not bell.clear()
