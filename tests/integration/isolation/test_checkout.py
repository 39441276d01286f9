"""Checkouts: an attempt has the code as it was queued to itself, and its outputs outlive it."""

import contextlib
import os
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aqueue.isolation.checkout import NO_ROOM
from aqueue.isolation.snapshot import new_ref, pin, unpin
from aqueue.model.task import Isolation
from tests.integration.repositories import Attempt, Repository, hide_configuration
from tests.waiting import eventually

pytestmark = pytest.mark.at_length


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    hide_configuration(monkeypatch)
    return Repository.create(tmp_path / "code")


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def attempt(repository: Repository, run_dir: Path) -> Attempt:
    return Attempt(run_dir, repository.path, repository.take())


def names_in(directory: Path) -> list[str]:
    """All that there is, as paths, but git's and the plans."""
    names = (str(path.relative_to(directory)) for path in directory.rglob("*"))
    return sorted(name for name in names if name.split("/")[0] != ".git" and not name.endswith(".plan"))


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
    brought = {how: [path]}
    line = Attempt(run_dir, repository.path, repository.take(), **brought).fail()  # type: ignore[arg-type]
    assert line == f"there is no {path} in {repository.path} to bring into the checkout"


@pytest.mark.parametrize("path", ["..", ".", "../beside", "/etc/passwd"])
def test_nothing_is_brought_from_outside(repository: Repository, run_dir: Path, path: str) -> None:
    repository.write("../beside")
    for brought in ({"copy": [path]}, {"link": [path]}):
        attempt = Attempt(run_dir, repository.path, repository.take(), **brought)  # type: ignore[arg-type]
        line = attempt.fail()
        assert "no path within the working directory" in line or "into itself" in line


@pytest.mark.parametrize("how", ["copy", "link"])
def test_a_tracked_link_that_leads_out_is_not_written_through(
    tmp_path: Path, repository: Repository, run_dir: Path, how: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "x").write_text("precious\n")
    os.symlink(data, repository.path / "data")
    repository.commit()
    brought = {how: ["data/x"]}
    attempt = Attempt(run_dir, repository.path, repository.take(), **brought)  # type: ignore[arg-type]
    assert "symbolic link that leads out" in attempt.fail()
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
    assert attempt.fail() == f"{attempt.checkout} is there already"
    assert (attempt.checkout / "made").exists()


def test_a_repository_that_is_gone_is_named(repository: Repository, attempt: Attempt) -> None:
    repository.path.rename(repository.path.with_name("moved"))
    assert attempt.fail() == f"the git repository {repository.path / '.git'} is not there any more"


def test_code_that_git_has_cleared_away_is_called_so(repository: Repository, run_dir: Path) -> None:
    repository.write("code.py", "2\n")
    snapshot = repository.take()
    attempt = Attempt(run_dir, repository.path, snapshot)
    repository.git("gc", "-q", "--prune=now")
    line = attempt.fail()
    assert line == f"the code to run, commit {snapshot.commit[:12]}, is not in {repository.path / '.git'} any more"


def test_where_there_is_no_git_the_line_says_so(
    tmp_path: Path, attempt: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "git is not installed" in attempt.fail()


def test_without_a_plan_nothing_is_done(attempt: Attempt) -> None:
    plan = Path(f"{attempt.path}.plan")
    plan.write_text("{}")
    assert attempt.fail().startswith(f"{plan} cannot be read")
    plan.unlink()
    assert attempt.fail().startswith(f"{plan} cannot be read")
    assert attempt.finish(code=1)[0].startswith(f"aqueue: {plan} cannot be read")


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
        " or not where PATH says"
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
    assert line == "there is no room on the disk for a checkout of the code"


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
    assert "no room on the disk" in line or "No space left on device" in line


@pytest.fixture
def stuck(repository: Repository, run_dir: Path) -> Iterator[tuple[Attempt, subprocess.Popen[bytes]]]:
    """What has begun to make a checkout, and got stuck in the middle of it."""
    add_filter(repository, f"touch '{run_dir}/stuck'; exec sleep 300")
    attempt = Attempt(run_dir, repository.path, repository.take())
    with subprocess.Popen(attempt.making, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            eventually(lambda: (run_dir / "stuck").exists())
            assert attempt.checkout.exists()
            yield attempt, process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("send", "number"),
    [
        (os.killpg, signal.SIGTERM),
        (os.killpg, signal.SIGINT),
        (os.killpg, signal.SIGHUP),
        # To it alone, not to the git that it has started.
        (os.kill, signal.SIGTERM),
    ],
)
def test_a_checkout_that_is_stopped_half_way_leaves_nothing(
    stuck: tuple[Attempt, subprocess.Popen[bytes]],
    send: Callable[[int, int], None],
    number: signal.Signals,
) -> None:
    attempt, process = stuck
    send(process.pid, number)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert output.decode() == f"stopped by {number.name} while the checkout was made\n"
    assert not attempt.checkout.exists()
    eventually(lambda: "git" not in programs_of(process.pid))


@pytest.mark.parametrize("code", [0, 3])
@pytest.mark.parametrize("keep", ["always", "failed", "never"])
def test_a_checkout_is_kept_as_the_task_says(repository: Repository, run_dir: Path, keep: str, code: int) -> None:
    attempt = Attempt(run_dir, repository.path, repository.take(), keep=keep)
    attempt.make()
    assert attempt.finish(code) == []
    assert attempt.checkout.exists() == {"always": True, "failed": code != 0, "never": False}[keep]


def test_outputs_are_copied_to_the_run_s_folder(repository: Repository, run_dir: Path) -> None:
    repository.write("sub/code.py")
    repository.commit()
    wanted = ["results.json", "models/", "logs/*.txt", "**/*.pt", "plain/deep/x", ".hidden"]
    attempt = Attempt(
        run_dir, repository.path / "sub", repository.take(within="sub"), outputs=wanted, keep="never"
    )
    attempt.make()
    made = Repository(attempt.working_dir)
    for name in (
        *("results.json", "models/a", "models/.b", "models/deep/c", "logs/1.txt", "logs/2.log", "logs/deep/3.txt"),
        *("top.pt", "one/two/below.pt", ".cache/hidden.pt", "plain/deep/x", "plain/deep/y", ".hidden"),
    ):
        made.write(name, name)
    (made.path / "models" / "a").chmod(0o555)
    os.utime(made.path / "models" / "a", (1000, 1000))
    (made.path / "models" / "empty").mkdir()
    assert attempt.finish(3) == []
    assert names_in(run_dir) == [
        *(".hidden", "logs", "logs/1.txt", "models", "models/.b", "models/a", "models/deep"),
        *("models/deep/c", "models/empty", "one", "one/two", "one/two/below.pt", "plain", "plain/deep"),
        *("plain/deep/x", "results.json", "top.pt"),
    ]
    copied = run_dir / "models" / "a"
    assert copied.read_text() == "models/a"
    assert (copied.stat().st_mtime, stat.S_IMODE(copied.stat().st_mode)) == (1000, 0o555)


def test_outputs_of_a_run_in_place_are_copied_too(tmp_path: Path, run_dir: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "metrics.json").write_text("{}")
    attempt = Attempt(run_dir, tmp_path / "work", None, outputs=["metrics.json", "models/"])
    assert attempt.finish() == ["aqueue: there is no models/ to copy"]
    assert names_in(run_dir) == ["metrics.json"]
    assert names_in(tmp_path / "work") == ["metrics.json"]


def test_outputs_of_a_later_attempt_go_over_those_of_an_earlier(tmp_path: Path, run_dir: Path) -> None:
    work = Repository(tmp_path / "work")
    attempt = Attempt(run_dir, work.path, None, outputs=["models"])
    for name in ("both", "first", "file-then-directory", "directory-then-file/x", "target"):
        work.write(f"models/{name}", "1")
    os.symlink("directory-then-file", work.path / "models" / "link-then-directory")
    os.symlink(work.write("outside"), work.path / "models" / "link-then-file")
    (work.path / "models" / "both").chmod(0o400)
    assert attempt.finish() == []
    shutil.rmtree(work.path / "models")
    for name in (
        "both",
        "file-then-directory/x",
        "directory-then-file",
        "link-then-directory/x",
        "link-then-file",
    ):
        work.write(f"models/{name}", "2")
    assert attempt.finish() == []
    found = {name: (run_dir / name).read_text() for name in names_in(run_dir) if (run_dir / name).is_file()}
    assert found == {
        "models/both": "2",
        "models/directory-then-file": "2",
        "models/file-then-directory/x": "2",
        "models/first": "1",
        "models/link-then-directory/x": "2",
        "models/link-then-file": "2",
        "models/target": "1",
    }
    assert (work.path / "outside").read_text() == ""


def test_links_among_the_outputs_lead_where_they_did(
    tmp_path: Path, repository: Repository, run_dir: Path
) -> None:
    data = Repository(tmp_path / "data")
    data.write("x.txt", "data\n")
    os.symlink(data.path, repository.path / "data")
    outputs = ["latest", "named", "models", "*.txt", "data/x.txt", "data*", "loop*"]
    attempt = Attempt(run_dir, repository.path, repository.take(), link=["data"], outputs=outputs)
    attempt.make()
    made = Repository(attempt.checkout)
    for name in ("runs/9/weights", "models/one", "elsewhere/file"):
        made.write(name, f"{name}\n")
    for link, to in (
        ("latest", "runs/9"),
        ("named", attempt.checkout / "elsewhere" / "file"),
        ("linked.txt", data.path / "x.txt"),
        ("loop", "loop"),
        ("models/within", "one"),
        ("models/gone", "nowhere"),
        ("models/beside", "../elsewhere/file"),
        ("models/absolute", attempt.checkout / "models" / "one"),
        ("models/data", data.path),
        ("models/datum", data.path / "x.txt"),
    ):
        os.symlink(to, attempt.checkout / link)
    assert attempt.finish() == ["aqueue: there is no data* to copy", "aqueue: there is no loop* to copy"]
    assert not attempt.checkout.exists()
    assert names_in(run_dir) == [
        *("data", "data/x.txt", "latest", "latest/weights", "linked.txt", "models", "models/absolute"),
        *("models/beside", "models/data", "models/datum", "models/gone", "models/one", "models/within", "named"),
    ]
    links = {name: str((run_dir / name).readlink()) for name in names_in(run_dir) if (run_dir / name).is_symlink()}
    assert links == {
        "models/data": str(data.path),
        "models/datum": str(data.path / "x.txt"),
        "models/gone": "nowhere",
        "models/within": "one",
    }
    assert (run_dir / "models" / "beside").read_text() == "elsewhere/file\n"
    assert (run_dir / "models" / "absolute").read_text() == "models/one\n"


@pytest.mark.parametrize(
    "output",
    ["..", "../beside", "/etc/passwd", ".", "task.yaml", "attempt-1.log", "checkout-1/x", "deep/link/x"],
)
def test_an_output_that_has_no_place_is_not_copied_and_the_checkout_is_kept(
    tmp_path: Path, repository: Repository, run_dir: Path, output: str
) -> None:
    attempt = Attempt(run_dir, repository.path, repository.take(), outputs=[output, "good"], keep="never")
    attempt.make()
    for name in ("../beside", "task.yaml", "attempt-1.log", "checkout-1/x", "deep/link/x", "good"):
        Repository(attempt.checkout).write(name)
    # What an earlier attempt left.
    (run_dir / "deep").mkdir()
    os.symlink(tmp_path, run_dir / "deep" / "link")
    (run_dir / "task.yaml").write_text("ours\n")
    first, last = attempt.finish(code=1)
    assert first.startswith(f"aqueue: {output} could not be copied: ")
    assert last == f"aqueue: the checkout is kept: {attempt.checkout}"
    assert (attempt.checkout / "good").exists()
    assert (run_dir / "good").exists()
    assert (run_dir / "task.yaml").read_text() == "ours\n"
    assert not (tmp_path / "x").exists()


def test_a_run_s_folder_is_not_copied_into_itself(repository: Repository) -> None:
    run_dir = repository.path / "queue" / "7"
    repository.write("queue/task.yaml")
    attempt = Attempt(run_dir, repository.path, None, outputs=["queue"])
    (line,) = attempt.finish(code=1)
    assert "into itself" in line


def test_where_the_outputs_do_not_fit_the_checkout_is_kept(tmp_path: Path, repository: Repository) -> None:
    run_dir = tmp_path / "run"
    attempt = Attempt(run_dir, repository.path, repository.take(), outputs=["large", "small"], keep="never")
    attempt.make()
    Repository(attempt.checkout).write("large", os.urandom(2 << 20))
    Repository(attempt.checkout).write("small", "small\n")
    (run_dir / "disk").mkdir()
    # The outputs go to a small disk.
    plan = Path(f"{attempt.path}.plan")
    plan.write_text(plan.read_text().replace(f'"run_dir": "{run_dir}"', f'"run_dir": "{run_dir / "disk"}"'))
    _, *lines, listed = on_small_disk(run_dir / "disk", attempt.finishing(0), code=1)
    assert lines[0].startswith("aqueue: large could not be copied: No space left on device")
    assert lines[1:] == [f"aqueue: the checkout is kept: {attempt.checkout}"]
    assert listed == "small"
    assert (attempt.checkout / "large").exists()


def test_linked_data_and_read_only_things_are_no_hindrance(
    tmp_path: Path, repository: Repository, run_dir: Path
) -> None:
    data = Repository(tmp_path / "data")
    data.write("x", "precious\n").chmod(0o444)
    data.path.chmod(0o555)
    os.symlink(data.path, repository.path / "data")
    attempt = Attempt(run_dir, repository.path, repository.take(), link=["data"])
    attempt.make()
    closed = Repository(attempt.checkout).write("closed/deep/x").parent
    os.symlink(data.path, closed / "link")
    for directory in (closed, closed.parent):
        directory.chmod(0)
    command = [*without_privileges(), *attempt.finishing(0)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert not attempt.checkout.exists()
    assert (data.path / "x").read_text() == "precious\n"
    assert stat.S_IMODE(data.path.stat().st_mode) == 0o555


def test_a_checkout_that_somebody_has_removed_is_no_trouble(attempt: Attempt) -> None:
    attempt.make()
    shutil.rmtree(attempt.checkout)
    assert attempt.finish() == []


def test_it_is_finished_although_its_group_is_told_to_stop(repository: Repository, run_dir: Path) -> None:
    attempt = Attempt(run_dir, repository.path, repository.take(), outputs=["models"])
    attempt.make()
    # Long enough for the signals.
    for number in range(1000):
        Repository(attempt.checkout).write(f"models/{number}")
    with subprocess.Popen(attempt.finishing(0), start_new_session=True) as process:
        eventually(lambda: (run_dir / "models").exists())
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            os.killpg(process.pid, number)
    assert process.returncode == 0
    assert len(list((run_dir / "models").iterdir())) == 1000
    assert not attempt.checkout.exists()


def programs_of(group: int) -> list[str]:
    """The names of the programs that run in a process group."""
    listed = subprocess.run(["ps", "-A", "-o", "pgid=,stat=,comm="], capture_output=True, text=True, check=True)
    rows = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    return [name for pgid, state, name in rows if pgid == str(group) and not state.startswith("Z")]


def on_small_disk(mounted: Path, command: list[str], code: int) -> list[str]:
    """What a command prints for which there is a disk of one MiB, followed by what is on it then."""
    if not shutil.which("unshare"):
        pytest.skip("there is no unshare to mount a small disk with")
    script = 'disk=$1; shift; mount -t tmpfs -o size=1m none "$disk" && echo mounted && "$@"; code=$?; ls "$disk"'
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f"{script}; exit $code", "sh"]
    done = subprocess.run([*unshare, str(mounted), *command], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    if "mounted" not in lines:
        pytest.skip("this user may not mount a small disk")
    assert done.returncode == code, done.stdout
    return lines


def without_privileges() -> list[str]:
    """What a command begins with that is not to get past the modes of files, even if this is root."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv"):
        pytest.skip("there is no setpriv to do without privileges with")
    return [
        "setpriv",
        "--bounding-set=-dac_override,-dac_read_search",
        "--inh-caps=-dac_override,-dac_read_search",
    ]


def add_filter(repository: Repository, command: str) -> None:
    """Add a file that git cannot write without running a command."""
    repository.write(".gitattributes", "*.bin filter=ours\n")
    repository.write("x.bin", "content\n")
    repository.commit()
    repository.git("config", "filter.ours.clean", "cat")
    repository.git("config", "filter.ours.smudge", command)
    repository.git("config", "filter.ours.required", "true")


def test_metrics_that_the_command_wrote_in_its_checkout_are_saved(repository: Repository, run_dir: Path) -> None:
    repository.write("metrics.json", "{}")
    repository.commit()
    attempt = Attempt(run_dir, repository.path, repository.take())
    attempt.make()
    saved = Path(f"{attempt.path}.metrics.json")
    attempt.finish(1)
    assert not saved.exists()
    Repository(attempt.working_dir).write("metrics.json", '{"loss": 1}')
    attempt.finish(1)
    assert saved.read_text() == '{"loss": 1}'
