"""Refs: a pinned commit stays in the repository."""

import shutil

import pytest

from aqueue.errors import SnapshotError
from aqueue.isolation.refs import REFS, new_ref, pin, unpin
from tests.integration.repositories import Repository

pytestmark = pytest.mark.at_length


def test_a_pinned_snapshot_outlives_what_git_clears_away_and_another_does_not(repository: Repository) -> None:
    repository.write("code.py", "2\n")
    commit = repository.take().commit
    ref = new_ref(commit)
    assert ref.startswith(f"{REFS}/{commit[:12]}-")
    assert new_ref(commit) != ref
    home = str(repository.path / ".git")
    pin(home, ref, commit)
    repository.git("gc", "-q", "--prune=now")
    assert repository.files_of(commit) == {"code.py": "2"}
    unpin(home, ref)
    unpin(home, ref)
    repository.git("gc", "-q", "--prune=now")
    with pytest.raises(SnapshotError) as refused:
        pin(home, ref, commit)
    assert commit in refused.value.message
    shutil.rmtree(home)
    unpin(home, ref)
