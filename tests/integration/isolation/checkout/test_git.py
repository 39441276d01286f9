"""Failures of git: the line says why, and the exit code what kind it is."""

from pathlib import Path

import pytest

from aqueue.isolation.checkout.errors import NO_ROOM
from tests.integration.isolation.checkout.helpers import add_filter
from tests.integration.repositories import Attempt, Repository

pytestmark = pytest.mark.at_length


def test_code_that_git_has_cleared_away_is_called_so(repository: Repository, run_dir: Path) -> None:
    repository.write("code.py", "2\n")
    snapshot = repository.take()
    attempt = Attempt(run_dir, repository.path, snapshot)
    repository.git("gc", "-q", "--prune=now")
    line = attempt.fail()
    assert line == f"the code to run, commit {snapshot.commit[:12]}, is no longer in {repository.path / '.git'}"


def test_where_there_is_no_git_the_line_says_so(
    tmp_path: Path, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git is not installed" in attempt.fail()


def test_what_a_filter_says_is_in_the_line(repository: Repository, run_dir: Path) -> None:
    add_filter(repository, "exit 3")
    line = Attempt(run_dir, repository.path, repository.take()).fail()
    assert line.startswith("git cannot check out the code: ")
    assert "external filter" in line


@pytest.mark.parametrize("key", ["smudge", "process"])
def test_a_filter_that_is_not_installed_is_named_as_git_lfs_is(
    repository: Repository, run_dir: Path, key: str
) -> None:
    add_filter(repository, "cat")
    snapshot = repository.take()
    repository.git("config", f"filter.ours.{key}", "no-such-git-lfs filter-process")
    line = Attempt(run_dir, repository.path, snapshot).fail()
    assert line == (
        "git cannot check out the code: no-such-git-lfs, a filter of the repository, is not installed,"
        " or not on PATH"
    )


def test_the_reason_of_a_filter_is_given_and_not_what_git_makes_of_it(
    repository: Repository, run_dir: Path
) -> None:
    says = "echo Downloading x.bin >&2; echo Error downloading x.bin: no route to host >&2; exit 2"
    add_filter(repository, says)
    line = Attempt(run_dir, repository.path, repository.take()).fail()
    assert line == "git cannot check out the code: Error downloading x.bin: no route to host"


def test_a_full_disk_is_told_by_the_exit_code(repository: Repository, run_dir: Path) -> None:
    add_filter(repository, "head -c 9 /dev/zero >/dev/full")
    line = Attempt(run_dir, repository.path, repository.take()).fail(code=NO_ROOM)
    assert line == "the disk is full: there is no room for a checkout of the code"
