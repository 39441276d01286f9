"""Git's failures: the message says what is wrong, and what to do."""

from pathlib import Path

import pytest

from aqueue.errors import DiskFullError, SnapshotError
from aqueue.isolation import git
from aqueue.isolation.snapshot import take
from tests.integration.isolation.refusals import refusal
from tests.integration.repositories import NOTHING, Repository

pytestmark = pytest.mark.at_length


def test_where_there_is_no_git_repository_the_message_says_so(tmp_path: Path, repository: Repository) -> None:
    bare = tmp_path / "bare"
    repository.git("clone", "-q", "--bare", repository.path, bare)
    for path, words in (
        (tmp_path, "is in no git repository"),
        (bare, "not among its files"),
        (repository.path / ".git", "not among its files"),
        (tmp_path / "missing", "No such file or directory"),
    ):
        with pytest.raises(SnapshotError) as refused:
            take(str(path), NOTHING, tmp_path)
        assert words in refused.value.message
        assert str(path) in refused.value.message
        assert refused.value.hint


def test_a_directory_that_is_not_the_working_tree_of_its_repository(
    tmp_path: Path, repository: Repository
) -> None:
    (tmp_path / "elsewhere").mkdir()
    repository.git("config", "core.worktree", tmp_path / "elsewhere")
    assert "not among its files" in refusal(repository).message


def test_where_there_is_no_git_the_message_says_so(
    tmp_path: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git is not installed" in refusal(repository).message


def test_what_git_says_is_in_the_message(repository: Repository) -> None:
    (repository.path / ".git" / "index").write_text("no index at all, and long enough to be looked at\n")
    assert "bad signature" in refusal(repository).message


def test_a_filter_that_is_not_installed_is_named(repository: Repository) -> None:
    repository.write(".gitattributes", "*.bin filter=ours\n")
    repository.write("a.bin", "1\n")
    repository.commit()
    repository.git("config", "filter.ours.process", "no-such-git-lfs filter-process")
    repository.git("config", "filter.ours.required", "true")
    repository.write("a.bin", "2, which is an edit\n")
    with pytest.raises(SnapshotError, match="no-such-git-lfs, a filter of the repository, is not installed"):
        repository.take()


def test_a_full_disk_is_called_so(repository: Repository) -> None:
    repository.write(".gitattributes", "*.bin filter=full\n")
    repository.write("x.bin", "before\n")
    repository.commit()
    repository.git("config", "filter.full.clean", "head -c 9 /dev/zero >/dev/full")
    repository.git("config", "filter.full.required", "true")
    repository.write("x.bin", "after\n")
    with pytest.raises(DiskFullError) as refused:
        repository.take()
    assert "disk is full" in refused.value.message
    assert refused.value.hint == "make room and try again"


def test_git_is_not_waited_for_forever(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "TIMEOUT_SECONDS", 0.3)
    repository.write(".gitattributes", "*.bin filter=slow\n")
    repository.write("x.bin", "before\n")
    repository.commit()
    repository.git("config", "filter.slow.clean", "sleep 300")
    repository.write("x.bin", "after\n")
    assert "0.3 seconds" in refusal(repository).message
