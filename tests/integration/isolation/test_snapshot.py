"""Snapshots: all tracked files as they are, and nobody notices that one was taken."""

import os
import subprocess
from pathlib import Path

import pytest

from aqueue.isolation.refs import new_ref, pin, unpin
from aqueue.isolation.snapshot import take
from tests.integration.isolation.refusals import refusal
from tests.integration.repositories import NOTHING, Repository

pytestmark = pytest.mark.at_length

LFS = "*.bin filter=lfs\n"


def test_code_without_edits_is_the_commit_that_it_is(repository: Repository) -> None:
    repository.write("untracked")
    snapshot = repository.take()
    assert snapshot.commit == repository.head
    assert snapshot.repository == str(repository.path / ".git")
    assert snapshot.prefix == ""


def test_every_kind_of_edit_of_tracked_files_is_in_it_and_untracked_files_are_not(repository: Repository) -> None:
    for name in (
        "edited",
        "deleted",
        "moved",
        "staged",
        "mode",
        "becomes-link",
        "becomes-directory",
        "with\nline",
    ):
        repository.write(name, f"{name} before\n")
    repository.git("config", "core.fileMode", "true")
    os.symlink("code.py", repository.path / "link")
    head = repository.commit()
    for name in ("edited", "staged", "with\nline"):
        repository.write(name, "after\n")
    repository.git("add", "staged")
    repository.write("staged", "after that\n")
    (repository.path / "deleted").unlink()
    repository.git("mv", "moved", "elsewhere")
    (repository.path / "mode").chmod(0o755)
    for name in ("link", "becomes-link"):
        (repository.path / name).unlink()
        os.symlink("edited", repository.path / name)
    (repository.path / "becomes-directory").unlink()
    repository.write("becomes-directory/untracked")
    repository.write("added", "added\n")
    repository.git("add", "added")
    repository.write("intended", "intended\n")
    repository.git("add", "-N", "intended")
    repository.write("untracked")
    odd = repository.path / os.fsdecode(b"not UTF-8 \xff")
    odd.write_text("odd\n")
    repository.git("add", str(odd))

    commit = repository.take().commit
    assert repository.files_of(commit) == {
        "added": "added",
        "becomes-link": "edited",
        "code.py": "1",
        "edited": "after",
        "elsewhere": "moved before",
        "intended": "intended",
        "link": "edited",
        "mode": "mode before",
        os.fsdecode(b"not UTF-8 \xff"): "odd",
        "staged": "after that",
        "with\nline": "after",
    }
    assert repository.git("ls-tree", commit, "mode").startswith("100755")
    assert repository.git("ls-tree", commit, "becomes-link").startswith("120000")
    assert repository.git("rev-parse", f"{commit}^") == head


def test_the_same_code_gives_the_same_commit_and_other_code_another(repository: Repository) -> None:
    repository.write("code.py", "2\n")
    first = repository.take()
    assert repository.take() == first
    repository.write("code.py", "3\n")
    assert repository.take() != first
    repository.write("code.py", "2\n")
    assert repository.take() == first
    author = repository.git("log", "-1", "--format=%an <%ae> %at", first.commit)
    assert author == f"aqueue <aqueue> {repository.git('log', '-1', '--format=%ct')}"


def test_an_edit_in_the_instant_in_which_git_looked_is_not_missed(repository: Repository) -> None:
    repository.git("config", "core.trustCtime", "false")
    code, index = repository.path / "code.py", repository.path / ".git" / "index"
    repository.git("update-index", "--refresh")
    looked_at = code.stat().st_mtime_ns
    code.write_text("2\n")
    for path in (code, index):
        os.utime(path, ns=(looked_at, looked_at))
    assert repository.files_of(repository.take().commit) == {"code.py": "2"}


def test_nobody_notices_that_it_was_taken(repository: Repository) -> None:
    repository.write("other", "before\n")
    repository.commit()
    repository.write("code.py", "stashed\n")
    repository.git("stash")
    repository.write("code.py", "2\n")
    repository.write("other", "staged\n")
    repository.git("add", "other")
    repository.write("untracked")
    # Whatever git can be told to do besides.
    for setting in (
        *(
            "core.logAllRefUpdates=always",
            "core.splitIndex=true",
            "core.untrackedCache=true",
            "core.safecrlf=true",
        ),
        *("core.autocrlf=true", "commit.gpgSign=true", "gc.auto=1", "log.showSignature=true", "status.short=true"),
        *("add.ignoreErrors=true", "submodule.recurse=true"),
    ):
        repository.git("config", *setting.split("="))
    repository.git("status")
    ran = repository.add_hooks()
    before = repository.noticeable()

    snapshot = repository.take()
    ref = new_ref(snapshot.commit)
    pin(snapshot.repository, ref, snapshot.commit)
    assert repository.git("rev-parse", ref) == snapshot.commit
    assert not repository.git("reflog", ref)
    unpin(snapshot.repository, ref)
    assert repository.noticeable() == before
    assert not ran.exists()
    assert repository.files_of(snapshot.commit) == {"code.py": "2", "other": "staged"}


def test_what_git_was_told_not_to_look_at_is_in_it_as_it_is(repository: Repository) -> None:
    for name in ("assumed", "skipped", "absent"):
        repository.write(name, "before\n")
    repository.commit()
    repository.git("update-index", "--assume-unchanged", "assumed")
    repository.git("update-index", "--skip-worktree", "skipped", "absent")
    for name in ("assumed", "skipped"):
        repository.write(name, "after\n")
    # Of a sparse checkout, for instance.
    (repository.path / "absent").unlink()
    files = repository.files_of(repository.take().commit)
    assert files == {"assumed": "after", "skipped": "after", "absent": "before", "code.py": "1"}


def test_files_outside_of_a_sparse_checkout_are_in_it(repository: Repository) -> None:
    for name in ("in/a", "out/b"):
        repository.write(name, "before\n")
    repository.commit()
    repository.git("sparse-checkout", "set", "--cone", "--sparse-index", "in")
    assert not (repository.path / "out").exists()
    repository.write("in/a", "after\n")
    assert repository.files_of(repository.take().commit) == {"code.py": "1", "in/a": "after", "out/b": "before"}


def test_conflicts_are_in_it_as_the_files_show_them(repository: Repository) -> None:
    repository.git("checkout", "-q", "-b", "other")
    repository.write("code.py", "theirs\n")
    repository.commit()
    repository.git("checkout", "-q", "main")
    repository.write("code.py", "ours\n")
    repository.commit()
    merged = subprocess.run(["git", "merge", "other"], cwd=repository.path, capture_output=True, check=False)
    assert merged.returncode == 1
    before = repository.noticeable()
    shown = (repository.path / "code.py").read_text()
    assert "ours" in shown
    assert "theirs" in shown
    snapshot = repository.take()
    assert repository.files_of(snapshot.commit) == {"code.py": shown.removesuffix("\n")}
    assert repository.git("rev-parse", f"{snapshot.commit}^@") == repository.head
    assert repository.noticeable() == before


@pytest.mark.parametrize("within", ["src", "src/with blank", "src/with\nline", "untracked"])
def test_a_working_directory_further_down_is_its_prefix(repository: Repository, within: str) -> None:
    for name in ("src/a", "src/with blank/b", "src/with\nline/c"):
        repository.write(name, "before\n")
    repository.commit()
    repository.write(f"{within}/file")
    repository.write("code.py", "2\n")
    snapshot = repository.take(within=within)
    assert snapshot.prefix == within
    # All of the code is in it, not only what is below.
    assert repository.files_of(snapshot.commit)["code.py"] == "2"


@pytest.mark.parametrize("name", ["with blank", "with\nline", 'with "quotes"', "--between", "ä"])
def test_a_repository_may_have_any_name(repository: Repository, name: str) -> None:
    other = Repository.create(repository.path.parent / name)
    assert other.take().repository == str(other.path / ".git")


def test_a_name_that_cannot_be_written_down_is_refused(repository: Repository) -> None:
    other = Repository.create(repository.path.parent / os.fsdecode(b"\xff"))
    assert "UTF-8" in refusal(other).message


def test_nothing_was_committed_yet(tmp_path: Path, repository: Repository) -> None:
    new = Repository(tmp_path / "new")
    new.path.mkdir()
    new.git("init", "-q")
    empty = new.take()
    assert new.files_of(empty.commit) == {}
    new.write("added", "1\n")
    new.git("add", "added")
    new.write("added", "2\n")
    snapshot = new.take()
    assert new.files_of(snapshot.commit) == {"added": "2"}
    assert new.git("log", "--format=%H %ct", snapshot.commit) == f"{snapshot.commit} 0"
    assert new.take() == snapshot


def test_a_head_that_is_on_no_branch(repository: Repository) -> None:
    repository.git("checkout", "-q", "--detach")
    repository.write("code.py", "2\n")
    assert repository.files_of(repository.take().commit) == {"code.py": "2"}


def test_a_shallow_clone(tmp_path: Path, repository: Repository) -> None:
    repository.commit()
    repository.git("clone", "-q", "--depth=1", f"file://{repository.path}", tmp_path / "shallow")
    shallow = Repository(tmp_path / "shallow")
    shallow.write("code.py", "2\n")
    snapshot = shallow.take()
    assert shallow.files_of(snapshot.commit) == {"code.py": "2"}
    assert len(shallow.git("rev-list", snapshot.commit).split()) == 2


@pytest.mark.parametrize("bare", [False, True])
def test_a_linked_worktree_has_its_own_edits_and_the_repository_of_all(
    tmp_path: Path, repository: Repository, bare: bool
) -> None:
    home = repository.path / ".git"
    if bare:
        home = tmp_path / "bare"
        repository.git("clone", "-q", "--bare", repository.path, home)
    worktree = Repository(tmp_path / "worktree")
    repository.git("-C", home, "worktree", "add", "-q", worktree.path)
    worktree.write("sub/file", "1\n")
    worktree.write("code.py", "2\n")
    before = repository.noticeable(), worktree.noticeable()
    snapshot = worktree.take(within="sub")
    assert (snapshot.repository, snapshot.prefix) == (str(home), "sub")
    assert worktree.files_of(snapshot.commit) == {"code.py": "2"}
    assert (repository.noticeable(), worktree.noticeable()) == before


def test_ids_of_the_other_kind(tmp_path: Path, repository: Repository) -> None:
    modern = Repository.create(tmp_path / "modern", "--object-format=sha256")
    modern.write("code.py", "2\n")
    snapshot = modern.take()
    assert len(snapshot.commit) == 64
    assert modern.files_of(snapshot.commit) == {"code.py": "2"}


def test_an_environment_that_means_another_repository_does_not_matter(
    tmp_path: Path, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Repository.create(tmp_path / "other")
    before = other.noticeable()
    repository.write("code.py", "2\n")
    with monkeypatch.context() as patch:
        patch.setenv("GIT_DIR", str(other.path / ".git"))
        patch.setenv("GIT_WORK_TREE", str(other.path))
        patch.setenv("GIT_INDEX_FILE", str(other.path / ".git" / "index"))
        patch.setenv("GIT_LITERAL_PATHSPECS", "1")
        snapshot = take(str(repository.path), NOTHING, tmp_path)
    assert snapshot.repository == str(repository.path / ".git")
    assert repository.files_of(snapshot.commit) == {"code.py": "2"}
    assert other.noticeable() == before


def test_files_are_taken_through_the_filters_of_the_user(repository: Repository) -> None:
    repository.write(".gitattributes", LFS)
    repository.git("config", "filter.lfs.clean", "tr a-z A-Z")
    repository.git("config", "filter.lfs.smudge", "tr A-Z a-z")
    repository.write("x.bin", "before\n")
    repository.commit()
    repository.write("x.bin", "after\n")
    assert repository.files_of(repository.take().commit)["x.bin"] == "AFTER"
