"""Making a checkout: it has the code as it was queued, and what is copied and linked; or there is none."""

import os
import stat
import subprocess
from pathlib import Path
from typing import TypedDict

import pytest

from aqueue.isolation.checkout.errors import NO_ROOM
from tests.integration.isolation.checkout.helpers import names_in, on_small_disk
from tests.integration.repositories import Attempt, Repository

pytestmark = pytest.mark.at_length


class Brought(TypedDict, total=False):
    copy: list[str]
    link: list[str]


def brought(how: str, path: str) -> Brought:
    """The arguments of an attempt to which a path is copied or linked."""
    return {"copy": [path]} if how == "copy" else {"link": [path]}


def test_the_code_is_that_of_when_it_was_queued_edits_included(repository: Repository, run_dir: Path) -> None:
    repository.write("code.py", "2\n")
    repository.write("untracked")
    attempt = Attempt(run_dir, repository.path, repository.take())
    repository.write("code.py", "3\n")
    repository.commit()
    attempt.make()
    assert names_in(attempt.checkout) == ["code.py"]
    assert (attempt.checkout / "code.py").read_text() == "2\n"
    assert stat.S_IMODE(attempt.checkout.stat().st_mode) == 0o700


def test_two_at_once_do_not_see_each_other_s_files(repository: Repository, run_dir: Path) -> None:
    attempts = [Attempt(run_dir, repository.path, repository.take(), number=number) for number in (1, 2)]
    making = [subprocess.Popen(attempt.making) for attempt in attempts]
    assert [process.wait() for process in making] == [0, 0]
    one, two = attempts
    (one.checkout / "code.py").write_text("of one\n")
    (one.checkout / "made").touch()
    assert names_in(two.checkout) == ["code.py"]
    assert (two.checkout / "code.py").read_text() == "1\n"
    assert two.git("status", "--porcelain") == ""


def test_untracked_things_are_copied_and_linked(repository: Repository, run_dir: Path) -> None:
    big = repository.write("sub/data/big/x", "big\n")
    small = repository.write("sub/data/small/x", "small\n")
    os.symlink("x", small.with_name("y"))
    os.utime(small, (1000, 1000))
    small.chmod(0o750)
    small.parent.chmod(0o711)
    repository.write("elsewhere", "secret\n")
    os.symlink("../elsewhere", repository.path / "sub" / ".env")
    attempt = Attempt(
        *(run_dir, repository.path / "sub", repository.take(within="sub")),
        copy=["data/small", ".env"],
        link=["data/big"],
    )
    attempt.make()
    there = attempt.checkout / "sub"
    assert names_in(there) == [".env", "data", "data/big", "data/small", "data/small/x", "data/small/y"]
    assert (there / "data" / "big").readlink() == big.parent
    assert (there / "data" / "small" / "y").readlink() == Path("x")
    copied = there / "data" / "small" / "x"
    assert (copied.stat().st_mtime, stat.S_IMODE(copied.stat().st_mode)) == (1000, 0o750)
    assert stat.S_IMODE(copied.parent.stat().st_mode) == 0o711
    assert (there / ".env").read_text() == "secret\n"
    assert not (there / ".env").is_symlink()
    # They are no changes to the code.
    assert attempt.git("status", "--porcelain") == ""
    copied.write_text("changed\n")
    assert small.read_text() == "small\n"
    assert attempt.finish() == []
    assert not attempt.checkout.exists()
    assert big.read_text() == "big\n"


def test_what_is_copied_goes_over_what_git_has_there(repository: Repository, run_dir: Path) -> None:
    repository.write("data/tracked", "queued\n")
    os.symlink("../code.py", repository.path / "data" / "link")
    repository.commit()
    snapshot = repository.take()
    repository.write("data/new", "new\n")
    repository.write("data/tracked", "later\n")
    (repository.path / "data" / "link").unlink()
    repository.write("data/link", "no link any more\n")
    attempt = Attempt(run_dir, repository.path, snapshot, copy=["data"])
    attempt.make()
    there = attempt.checkout / "data"
    assert [(there / name).read_text() for name in ("new", "tracked")] == ["new\n", "later\n"]
    assert (there / "link").read_text() == "no link any more\n"
    assert (attempt.checkout / "code.py").read_text() == "1\n"


@pytest.mark.parametrize("how", ["copy", "link"])
@pytest.mark.parametrize("path", ["missing", "data/missing"])
def test_what_is_not_there_to_be_brought_is_named(
    repository: Repository, run_dir: Path, how: str, path: str
) -> None:
    line = Attempt(run_dir, repository.path, repository.take(), **brought(how, path)).fail()
    assert line == f"there is no {path} in {repository.path} to copy or link into the checkout"


@pytest.mark.parametrize("path", ["..", ".", "../beside", "/etc/passwd"])
def test_nothing_is_brought_from_outside(repository: Repository, run_dir: Path, path: str) -> None:
    repository.write("../beside")
    for how in ("copy", "link"):
        attempt = Attempt(run_dir, repository.path, repository.take(), **brought(how, path))
        line = attempt.fail()
        assert "not a path within the working directory" in line or "into itself" in line


@pytest.mark.parametrize("how", ["copy", "link"])
def test_a_tracked_link_that_leads_out_is_not_written_through(
    tmp_path: Path, repository: Repository, run_dir: Path, how: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "x").write_text("precious\n")
    os.symlink(data, repository.path / "data")
    repository.commit()
    attempt = Attempt(run_dir, repository.path, repository.take(), **brought(how, "data/x"))
    assert "a symbolic link on the way to data/x leads out of" in attempt.fail()
    assert (data / "x").read_text() == "precious\n"
    assert not (data / "x").is_symlink()


def test_a_directory_that_has_the_checkouts_in_it_is_not_copied(repository: Repository) -> None:
    repository.write("queue/task.yaml")
    attempt = Attempt(repository.path / "queue" / "7", repository.path, repository.take(), copy=["queue"])
    assert "into itself" in attempt.fail()


def test_the_working_directory_is_there_even_if_git_has_nothing_in_it(
    repository: Repository, run_dir: Path
) -> None:
    repository.write("untracked/x")
    attempt = Attempt(run_dir, repository.path / "untracked", repository.take(within="untracked"))
    attempt.make()
    assert names_in(attempt.checkout) == ["code.py", "untracked"]


def test_a_checkout_that_is_there_already_is_left_alone(attempt: Attempt) -> None:
    attempt.make()
    (attempt.checkout / "made").touch()
    assert attempt.fail() == f"{attempt.checkout} already exists"
    assert (attempt.checkout / "made").exists()


def test_a_repository_that_is_gone_is_named(repository: Repository, attempt: Attempt) -> None:
    repository.path.rename(repository.path.with_name("moved"))
    assert attempt.fail() == f"the git repository {repository.path / '.git'} no longer exists"


@pytest.mark.parametrize("copied", [False, True])
def test_on_a_disk_that_fills_up_nothing_of_it_is_left(
    tmp_path: Path, repository: Repository, copied: bool
) -> None:
    repository.write("large", os.urandom(2 << 20))
    if not copied:
        repository.git("add", "large")
    disk = tmp_path / "run" / "disk"
    attempt = Attempt(tmp_path / "run", repository.path, repository.take(), copy=["large"])
    disk.mkdir()
    plan = Path(f"{attempt.path}.plan")
    plan.write_text(plan.read_text().replace(str(attempt.checkout), str(disk / "checkout")))
    _, line = on_small_disk(disk, attempt.making, code=NO_ROOM)
    assert "the disk is full" in line or "No space left on device" in line
