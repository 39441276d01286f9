"""The repository of a checkout: git works in it, and the user's repository notices nothing."""

import os
from pathlib import Path

import pytest

from aqueue.isolation.refs import new_ref, pin, unpin
from aqueue.model.task import Isolation
from tests.integration.isolation.checkout.helpers import names_in
from tests.integration.repositories import Attempt, Repository

pytestmark = pytest.mark.at_length


def test_git_works_in_it_as_in_the_user_s_working_tree(repository: Repository, run_dir: Path) -> None:
    repository.git("tag", "v1")
    repository.git("tag", "-a", "v2", "-m", "annotated")
    repository.git("pack-refs", "--all")
    repository.git("tag", "v3", "HEAD")
    repository.git("remote", "add", "origin", "https://example.org/code")
    repository.write("code.py", "2\n")
    snapshot = repository.take()
    attempt = Attempt(run_dir, repository.path, snapshot)
    attempt.make()
    assert attempt.git("status", "--porcelain") == ""
    assert attempt.git("rev-parse", "--show-toplevel") == str(attempt.checkout)
    assert attempt.git("rev-parse", "HEAD") == snapshot.commit
    assert len(attempt.git("log", "--format=%H").split()) == 2
    assert attempt.git("describe") == f"v2-1-g{snapshot.commit[:7]}"
    assert attempt.git("tag", "--list").split() == ["v1", "v2", "v3"]
    assert attempt.git("remote", "get-url", "origin") == "https://example.org/code"
    attempt.git("fsck")


def test_the_user_notices_nothing_whatever_is_done_in_it(repository: Repository, run_dir: Path) -> None:
    for setting in (
        *("core.logAllRefUpdates=always", "core.splitIndex=true", "core.untrackedCache=true", "gc.auto=1"),
        *("core.autocrlf=true", "status.short=true"),
    ):
        repository.git("config", *setting.split("="))
    repository.write("code.py", "2\n")
    ran = repository.add_hooks()
    before = repository.noticeable()

    snapshot = repository.take()
    ref = new_ref(snapshot.commit)
    pin(snapshot.repository, ref, snapshot.commit)
    attempt = Attempt(run_dir, repository.path, snapshot, outputs=["made"])
    attempt.make()
    (attempt.checkout / "made").touch()
    attempt.git("add", "made")
    attempt.git("commit", "-q", "-m", "in the checkout")
    attempt.git("tag", "in-the-checkout")
    attempt.git("status")
    assert attempt.finish() == []
    unpin(snapshot.repository, ref)
    assert repository.noticeable() == before
    assert not ran.exists()


def test_line_endings_and_filters_are_those_of_the_user(repository: Repository, run_dir: Path) -> None:
    repository.git("config", "filter.lfs.clean", "tr a-z A-Z")
    repository.git("config", "filter.lfs.smudge", "tr A-Z a-z")
    repository.write(".git/info/attributes", "*.bin filter=lfs\n*.txt text eol=crlf\n")
    repository.write("x.bin", "content\n")
    repository.write("x.txt", "one\r\ntwo\r\n")
    repository.commit()
    assert repository.files_of("HEAD")["x.bin"] == "CONTENT"
    attempt = Attempt(run_dir, repository.path, repository.take())
    attempt.make()
    for name in ("x.bin", "x.txt"):
        assert (attempt.checkout / name).read_bytes() == (repository.path / name).read_bytes()
        # Git must look into it again, to find that nothing has changed.
        os.utime(attempt.checkout / name, (0, 0))
    assert attempt.git("status", "--porcelain") == ""


def test_a_shallow_repository(tmp_path: Path, repository: Repository, run_dir: Path) -> None:
    repository.commit()
    repository.git("clone", "-q", "--depth=1", f"file://{repository.path}", tmp_path / "shallow")
    shallow = Repository(tmp_path / "shallow")
    attempt = Attempt(run_dir, shallow.path, shallow.take())
    attempt.make()
    assert attempt.git("log", "--format=%H") == shallow.head
    attempt.git("fsck")


def test_a_worktree_of_a_bare_repository_with_ids_of_the_other_kind(
    tmp_path: Path, repository: Repository, run_dir: Path
) -> None:
    origin = Repository.create(tmp_path / "origin", "--object-format=sha256")
    origin.git("clone", "-q", "--bare", origin.path, tmp_path / "bare")
    origin.git("-C", tmp_path / "bare", "worktree", "add", "-q", tmp_path / "worktree")
    worktree = Repository(tmp_path / "worktree")
    worktree.write("code.py", "2\n")
    attempt = Attempt(run_dir, worktree.path, worktree.take())
    attempt.make()
    assert (attempt.checkout / "code.py").read_text() == "2\n"
    assert attempt.git("status", "--porcelain") == ""
    assert len(attempt.git("log", "--format=%H").split()) == 2


def test_a_sparse_working_tree_has_sparse_checkouts(repository: Repository, run_dir: Path) -> None:
    for name in ("in/a", "out/b"):
        repository.write(name)
    repository.commit()
    repository.git("sparse-checkout", "set", "--cone", "in")
    attempt = Attempt(run_dir, repository.path, repository.take())
    attempt.make()
    assert names_in(attempt.checkout) == ["code.py", "in", "in/a"]
    assert attempt.git("status", "--porcelain") == ""


@pytest.mark.parametrize("name", ["with blank", "with\nline", 'with "quotes" and \\', "#", "ä"])
def test_paths_may_have_anything_in_them(repository: Repository, tmp_path: Path, name: str) -> None:
    other = Repository.create(tmp_path / name)
    other.write(f"{name}/code.py")
    other.write(f"{name}/data/[x]*?")
    other.git("add", f"{name}/code.py")
    isolation = ["data/[x]*?"]
    attempt = Attempt(
        tmp_path / f"run {name}", other.path / name, other.take(within=name), link=isolation, outputs=isolation
    )
    attempt.make()
    assert attempt.git("status", "--porcelain") == ""
    assert attempt.git("log", "--format=%s").split("\n")[1:] == ["a change"]
    assert (attempt.working_dir / "data" / "[x]*?").is_symlink()
    assert attempt.finish() == []
    assert (tmp_path / f"run {name}" / "data" / "[x]*?").is_file()


def test_a_submodule_is_what_is_linked_in_its_place_and_no_business_of_git_s(
    tmp_path: Path, repository: Repository, run_dir: Path
) -> None:
    library = Repository.create(tmp_path / "library")
    for path in ("linked", "copied"):
        repository.git("submodule", "--quiet", "add", str(library.path), path)
    repository.commit()
    repository.git("config", "submodule.recurse", "true")
    before = repository.noticeable()
    snapshot = repository.take(Isolation(link=("linked",), copy=("copied",)))
    attempt = Attempt(run_dir, repository.path, snapshot, link=["linked/"], copy=["copied/"])
    attempt.make()
    assert (attempt.checkout / "linked").readlink() == repository.path / "linked"
    assert (attempt.checkout / "copied" / "code.py").read_text() == "1\n"
    assert repository.noticeable() == before
    assert attempt.finish() == []
    assert repository.noticeable() == before
