"""The end of an attempt: the checkout stays or goes as the task says, and metrics are saved."""

import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.integration.isolation.checkout.helpers import without_privileges
from tests.integration.repositories import Attempt, Repository

pytestmark = pytest.mark.at_length


@pytest.mark.parametrize("code", [0, 3])
@pytest.mark.parametrize("keep", ["always", "failed", "never"])
def test_a_checkout_is_kept_as_the_task_says(repository: Repository, run_dir: Path, keep: str, code: int) -> None:
    attempt = Attempt(run_dir, repository.path, repository.take(), keep=keep)
    attempt.make()
    assert attempt.finish(code) == []
    assert attempt.checkout.exists() == {"always": True, "failed": code != 0, "never": False}[keep]


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


def test_metrics_written_in_the_tick_of_the_start_are_saved(repository: Repository, run_dir: Path) -> None:
    attempt = Attempt(run_dir, repository.path, repository.take())
    attempt.make()
    started = Path(attempt.working_dir).stat().st_mtime_ns
    Repository(attempt.working_dir).write("metrics.json", '{"loss": 1}')
    os.utime(Path(attempt.working_dir) / "metrics.json", ns=(started, started))
    attempt.finish(1)
    assert Path(f"{attempt.path}.metrics.json").read_text() == '{"loss": 1}'
