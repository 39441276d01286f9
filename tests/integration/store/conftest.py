"""Fixtures of the tests of the store: a database that is not new, and machines with GPUs."""

import sqlite3

import pytest

from aqueue.folder.layout import Folder
from tests.integration.noting import with_rows
from tests.integration.store.gpu_machine import Container, Machine


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
