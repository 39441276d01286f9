"""What the tests of the store share: a database that is not new."""

import pytest

from aqueue.folder.layout import Folder
from tests.integration.noting import with_rows


@pytest.fixture
def used(folder: Folder) -> Folder:
    """A folder that has had runs."""
    with_rows(folder)
    folder.make_run_dir(1)
    return folder
