"""The fixtures of the integration tests: a real folder and database, and real processes that are cleared away."""

import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aqueue.folder.layout import Folder
from aqueue.store.database import connect
from tests.integration.attempts import Attempts
from tests.integration.dropping import Taker
from tests.integration.keeping import Pins
from tests.integration.planning import Plan


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path / "queue")
    folder.create()
    return folder


@pytest.fixture
def connection(folder: Folder) -> Iterator[sqlite3.Connection]:
    connection = connect(folder)
    yield connection
    connection.close()


@pytest.fixture
def plan(connection: sqlite3.Connection, folder: Folder) -> Plan:
    return Plan(connection, folder)


@pytest.fixture
def parked() -> bool:
    """Have attempts start in new shells, not in parked ones; tests of both override this."""
    return False


@pytest.fixture
def attempts(folder: Folder, parked: bool) -> Iterator[Attempts]:
    attempts = Attempts(folder, parked=parked)
    yield attempts
    attempts.clear()


@pytest.fixture
def new_taker(folder: Folder) -> Iterator[Callable[[], Taker]]:
    """Makes inboxes, in a process that ignores what a server ignores."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    yield lambda: Taker(folder)
    signal.signal(signal.SIGIO, before)


@pytest.fixture
def taker(new_taker: Callable[[], Taker]) -> Taker:
    return new_taker()


@pytest.fixture
def keeper(taker: Taker) -> Pins:
    return Pins(taker)


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="root can read and write everything")
