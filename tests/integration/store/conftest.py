"""Fixtures of the tests of the store: a connection that records, a used database, machines with GPUs."""

import sqlite3
from collections.abc import Iterator

import pytest

from aqueue.folder.layout import Folder
from aqueue.store.database import connect
from tests.integration.noting import with_rows
from tests.integration.store.gpu_machine import Container, Machine
from tests.integration.store.recorded import Recorder


@pytest.fixture
def connection(folder: Folder) -> Iterator[sqlite3.Connection]:
    """A connection of which each statement finds its rows by an index, however much history there is."""
    connection = connect(folder, factory=Recorder)
    assert isinstance(connection, Recorder)
    yield connection
    scans = connection.scans()
    connection.close()
    assert scans == []


@pytest.fixture
def used(folder: Folder) -> Folder:
    """A folder that has had runs."""
    with_rows(folder)
    folder.make_run_dir(1)
    return folder


@pytest.fixture
def machine(connection: sqlite3.Connection) -> Machine:
    return Machine(connection)


@pytest.fixture
def container(connection: sqlite3.Connection) -> Container:
    return Container(connection)
