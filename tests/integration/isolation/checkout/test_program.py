"""The program: it says why it cannot do something, and a signal leaves nothing half made."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aqueue.isolation import checkout
from aqueue.isolation.plan import PROGRAM
from tests.integration.isolation.checkout.helpers import add_filter, without_privileges
from tests.integration.repositories import Attempt, Repository
from tests.waiting import eventually

pytestmark = pytest.mark.at_length


def test_without_a_plan_nothing_is_done(attempt: Attempt) -> None:
    plan = Path(f"{attempt.path}.plan")
    plan.write_text("{}")
    assert attempt.fail().startswith(f"{plan} cannot be read")
    plan.unlink()
    assert attempt.fail().startswith(f"{plan} cannot be read")
    assert attempt.finish(code=1)[0].startswith(f"aqueue: {plan} cannot be read")


@pytest.fixture
def stuck(repository: Repository, run_dir: Path) -> Iterator[tuple[Attempt, subprocess.Popen[bytes]]]:
    """A process that is stuck in the middle of making a checkout."""
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
    assert output.decode() == f"stopped by {number.name} while making the checkout\n"
    assert not attempt.checkout.exists()
    eventually(lambda: "git" not in programs_of(process.pid))


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


def test_it_needs_nothing_but_its_package_and_takes_no_module_beside_it_for_python_s(
    tmp_path: Path, attempt: Attempt
) -> None:
    installed = tmp_path / "read-only"
    package = Path(checkout.__file__).parent
    for path in (package, package.parent / "__init__.py", package.parent.parent / "__init__.py"):
        to = installed / path.relative_to(package.parent.parent.parent)
        to.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.copytree(path, to, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, to)
    for name in ("json", "shutil", "signal", "subprocess", "sitecustomize"):
        (installed / f"{name}.py").write_text("raise SystemExit(1)\n")
    directories = [installed, *(path for path in installed.rglob("*") if path.is_dir())]
    for directory in directories:
        directory.chmod(0o555)
    try:
        program = installed / "aqueue" / "isolation" / "checkout" / "__main__.py"
        command = [*without_privileges(), *attempt.making]
        command[command.index(PROGRAM[-1])] = str(program)
        done = subprocess.run(command, capture_output=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        assert (attempt.checkout / "code.py").read_text() == "1\n"
        assert not list(installed.rglob("*.pyc"))
    finally:
        for directory in directories:
            directory.chmod(0o755)


def programs_of(group: int) -> list[str]:
    """The names of the programs that run in a process group."""
    listed = subprocess.run(["ps", "-A", "-o", "pgid=,stat=,comm="], capture_output=True, text=True, check=True)
    rows = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    return [name for pgid, state, name in rows if pgid == str(group) and not state.startswith("Z")]
