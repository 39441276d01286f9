"""Outputs: they outlive the checkout, in the run's directory."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from tests.integration.isolation.checkout.helpers import names_in, on_small_disk
from tests.integration.repositories import Attempt, Repository

pytestmark = pytest.mark.at_length


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
