"""Snapshots that are refused."""

import pytest

from aqueue.errors import SnapshotError
from aqueue.model.task import Isolation
from tests.integration.repositories import NOTHING, Repository


def refusal(repository: Repository, isolation: Isolation = NOTHING, within: str = "") -> SnapshotError:
    with pytest.raises(SnapshotError) as refused:
        repository.take(isolation, within)
    assert "\n" not in refused.value.message
    assert refused.value.hint
    return refused.value
