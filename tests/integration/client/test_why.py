"""The reason why a run waits or failed, found in what is stored and in the output of real commands."""

import os
import sqlite3
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aqueue.client.why import Explanation, explain
from aqueue.clock import Clock
from aqueue.executors.local.runner import ProcessSettings, Runner
from aqueue.folder.layout import Folder
from aqueue.model.diagnosis import Cause, Certainty
from aqueue.model.outcome import End
from aqueue.model.run import Run, Usage
from aqueue.model.task import Isolation, Retries, Snapshot
from tests.integration.depending import Chain, wants
from tests.integration.recording import Book
from tests.integration.repositories import Repository

Command = str | tuple[str, ...]


def python(code: str) -> Command:
    return (sys.executable, "-c", code)


class Failing:
    """Runs commands in a folder as a server does, and explains their runs."""

    def __init__(self, folder: Folder, connection: sqlite3.Connection) -> None:
        self.folder = folder
        self.book = Book(connection)

    async def run(self, command: Command, *, usage: Usage | None = None, lost: str = "", **changes: Any) -> Run:
        """Run a command to its end.

        Args:
            usage: recorded instead of what was measured.
            lost: why the attempt counts as lost.
        """
        given = {"working_dir": str(self.folder.parent), "command": command} | changes
        self.book.add(**given)
        (run,) = self.book.claim(jobs=1000, now=Clock().now())
        settings = ProcessSettings({"PATH": os.environ["PATH"]}, grace=0.2)
        runner = Runner(run, self.folder, Clock(), settings)
        runner.launch()
        outcome = await runner.wait()
        if usage is not None:
            outcome = msgspec.structs.replace(outcome, usage=usage)
        if lost:
            outcome = msgspec.structs.replace(outcome, end=End.LOST, why=lost, exit_code=None)
        self.book.store.lifecycle.finish(outcome, "server")
        return self.book.get(run)

    def explained(self, run: Run) -> Explanation:
        return explain(self.folder, str(run.id), lambda _: None)


@pytest.fixture
def failing(folder: Folder, connection: sqlite3.Connection) -> Failing:
    return Failing(folder, connection)


Explained = Callable[..., Awaitable[Explanation]]


@pytest.fixture
def explained(failing: Failing) -> Explained:
    async def explained(command: Command, **changes: Any) -> Explanation:
        return failing.explained(await failing.run(command, **changes))

    return explained


ARGUMENTS = "import argparse; argparse.ArgumentParser(prog='train.py').parse_args(['--lr', '1'])"
LIMITED = "import resource as r; r.setrlimit(r.RLIMIT_AS, (1 << 30, 1 << 30)); bytearray(4 << 30)"
TORCH = "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
POOL = "concurrent.futures.process.BrokenProcessPool: A process in the process pool was terminated abruptly"
KILL = ("sh", "-c", "kill -KILL $$")


@pytest.mark.parametrize(
    ("command", "changes", "cause", "certainty", "verdict"),
    [
        pytest.param(
            python("print('epoch 1')\nraise ValueError('no match')"), {},
            Cause.EXCEPTION, Certainty.CERTAIN, "its Python code raised ValueError: no match", id="exception",
        ),
        pytest.param(
            python("import nosuchmodule.sub"), {},
            Cause.MISSING_MODULE, Certainty.GUESS, "a module that it needs, nosuchmodule,", id="missing module",
        ),
        pytest.param(
            "trian.py --lr 1", {},
            Cause.NOT_STARTED, Certainty.CERTAIN, "a program was not found: trian.py", id="not found",
        ),
        pytest.param(
            "./plain.sh", {},
            Cause.NOT_STARTED, Certainty.CERTAIN, "./plain.sh is not executable", id="not executable",
        ),
        pytest.param(
            ("true",), {"working_dir": "/nowhere"},
            Cause.NOT_STARTED, Certainty.CERTAIN, "it cannot be started: working_dir /nowhere", id="no directory",
        ),
        pytest.param(
            KILL, {"usage": Usage(oom_kills=0, oom_kills_in_group=0)},
            Cause.KILLED, Certainty.LIKELY, "somebody killed it", id="killed by somebody",
        ),
        pytest.param(
            KILL, {"usage": Usage()},
            Cause.KILLED, Certainty.GUESS, "nobody saw by whom", id="killed unseen",
        ),
        pytest.param(
            KILL, {"usage": Usage(oom_kills=1, oom_kills_in_group=1)},
            Cause.OUT_OF_MEMORY, Certainty.CERTAIN, "the kernel killed it for lack of memory", id="own OOM",
        ),
        pytest.param(
            KILL, {"usage": Usage(oom_kills=1, oom_kills_in_group=0)},
            Cause.OUT_OF_MEMORY, Certainty.LIKELY, "very likely, the kernel killed it", id="OOM elsewhere",
        ),
        pytest.param(
            f"echo '{POOL}'; exit 1", {"usage": Usage(oom_kills=1)},
            Cause.OUT_OF_MEMORY, Certainty.LIKELY, "killed one of its processes", id="OOM of a worker",
        ),
        pytest.param(
            python(LIMITED), {},
            Cause.OUT_OF_MEMORY, Certainty.GUESS, "more memory than it could have", id="memory limit",
        ),
        pytest.param(
            ("sh", "-c", "ulimit -c 0; kill -SEGV $$"), {},
            Cause.CRASHED, Certainty.CERTAIN, "it crashed with SIGSEGV", id="crash",
        ),
        pytest.param(
            ("sh", "-c", "kill -TERM $$"), {},
            Cause.KILLED, Certainty.CERTAIN, "sent it SIGTERM", id="terminated",
        ),
        pytest.param(
            "echo loading; sleep 300", {"timeout": 0.5},
            Cause.TIMEOUT, Certainty.CERTAIN, "after 500ms, its `timeout`; it seems to have hung", id="timeout",
        ),
        pytest.param(
            python(ARGUMENTS), {},
            Cause.USAGE, Certainty.GUESS, "called with wrong arguments", id="usage",
        ),
        pytest.param(
            "echo no licence; exit 75", {},
            Cause.TEMPORARY, Certainty.CERTAIN, "asked to be tried again later", id="temporary",
        ),
        pytest.param(
            python("open('/dev/full', 'w', 1).write('x\\n')"), {},
            Cause.DISK_FULL, Certainty.GUESS, "the disk, or its quota", id="disk full",
        ),
        pytest.param(
            f"echo '{TORCH}'; exit 1", {},
            Cause.GPU_OUT_OF_MEMORY, Certainty.GUESS, "its GPU's memory", id="GPU memory",
        ),
        pytest.param(
            "echo 'NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.'; exit 1", {},
            Cause.GPU_FAULT, Certainty.GUESS, "its GPU, or the driver", id="GPU fault",
        ),
        pytest.param(
            "true", {"lost": "the machine was restarted", "requeue": False},
            Cause.LOST, Certainty.CERTAIN, "nobody saw attempt 1 end: the machine was restarted", id="lost",
        ),
        pytest.param(
            "exit 3", {},
            Cause.EXIT_CODE, Certainty.CERTAIN, "ended with exit code 3, and wrote no output", id="silent",
        ),
        pytest.param(
            "echo 'error: no such data set'; exit 3", {},
            Cause.EXIT_CODE, Certainty.CERTAIN, "its output says: error: no such data set", id="message",
        ),
        pytest.param(
            "echo epoch 3; exit 3", {},
            Cause.EXIT_CODE, Certainty.GUESS, "its output says: epoch 3", id="last line",
        ),
    ],
)  # fmt: skip
async def test_each_failure_gets_its_verdict(
    failing: Failing,
    command: Command,
    changes: dict[str, Any],
    cause: Cause,
    certainty: Certainty,
    verdict: str,
) -> None:
    (failing.folder.parent / "plain.sh").write_text("#!/bin/sh\n")
    found = failing.explained(await failing.run(command, **changes)).diagnosis
    assert (found.cause, found.certainty) == (cause, certainty)
    assert verdict in found.verdict
    assert found.next_steps


async def test_a_full_disk_is_explained_with_the_room_that_there_is_now(explained: Explained) -> None:
    found = (await explained("echo 'cp: No space left on device'; exit 1")).diagnosis
    assert any(" are free in " in one for one in found.evidence)


async def test_the_lines_are_those_around_the_last_traceback(explained: Explained) -> None:
    code = "\n".join(("for n in range(50): print('epoch', n)", "def fit(): raise ValueError('bad')", "fit()"))
    found = await explained(python(code))
    assert found.lines[:4] == ["epoch 47", "epoch 48", "epoch 49", "Traceback (most recent call last):"]
    assert found.lines[-1] == "ValueError: bad"
    assert (await explained("seq 100; exit 3", name="other")).lines == [str(number) for number in range(91, 101)]


async def test_a_very_deep_traceback_is_cut_in_its_middle(explained: Explained) -> None:
    code = "def f(n):\n    g(n)\ndef g(n):\n    f(n - 1) if n else 1 / n\nf(90)"
    lines = (await explained(python(code))).lines
    assert len(lines) == 41
    assert any(line.startswith("… ") for line in lines)
    assert (lines[0], lines[-1]) == ("Traceback (most recent call last):", "ZeroDivisionError: division by zero")


async def test_an_output_of_ten_gigabytes_is_read_at_its_end_only(failing: Failing) -> None:
    fill = "truncate -s 10G $AQUEUE_RUN_DIR/attempt-1.log; echo; echo 'KeyError: lr'; exit 1"
    run = await failing.run(fill)
    assert failing.folder.log(run.id, 1).stat().st_size > 10 << 30
    found = failing.explained(run)
    assert found.diagnosis.verdict.endswith("KeyError: lr")
    assert run.reason == "exit code 1: KeyError: lr"


async def test_it_is_compared_with_the_success_of_its_group_that_has_the_fewest_other_params(
    failing: Failing,
) -> None:
    async def one(name: str, command: Command, **params: Any) -> Run:
        return await failing.run(
            command, name=name, group="fits", params=params, env={"TOKEN": f"{params} secret"}
        )

    await one("near-old", "true", lr=0.1, seed=2)
    near = await one("near", "true", lr=0.1, seed=2)
    await one("far", "true", lr=0.1, seed=3)
    failed = await one("fit", "exit 1", lr=3, seed=2)
    comparison = failing.explained(failed).comparison
    assert comparison is not None
    assert (comparison.run.id, comparison.is_of_group, comparison.code) == (near.id, True, None)
    by_name = {one.what: (one.before, one.after) for one in comparison.differences}
    assert by_name.pop("command") == ("true", "exit 1")
    assert by_name.pop("param lr") == ("0.1", "3")
    assert by_name.pop("env TOKEN") == ("one value", "another")
    assert not [what for what in by_name if what.startswith(("param", "env"))]


async def test_without_a_success_of_its_group_it_is_compared_with_the_newest_of_its_name(failing: Failing) -> None:
    await failing.run("true", name="nightly")
    newest = await failing.run("true", name="nightly")
    await failing.run("true", name="other")
    comparison = failing.explained(await failing.run("exit 1", name="nightly", group="tonight")).comparison
    assert comparison is not None
    assert (comparison.run.id, comparison.is_of_group) == (newest.id, False)


async def test_without_any_success_there_is_no_comparison(explained: Explained) -> None:
    assert (await explained("exit 1")).comparison is None


async def test_code_that_changed_is_shown_as_git_does(failing: Failing, tmp_path: Path) -> None:
    repository = Repository.create(tmp_path / "code")
    (tmp_path / "code" / "code.py").write_text("raise SystemExit(1)\n")
    first, second = repository.head, repository.commit()

    def isolated(commit: str) -> Isolation:
        return Isolation(snapshot=Snapshot(repository=str(tmp_path / "code" / ".git"), commit=commit))

    await failing.run((sys.executable, "code.py"), isolate=isolated(first))
    failed = await failing.run((sys.executable, "code.py"), isolate=isolated(second))
    comparison = failing.explained(failed).comparison
    assert comparison is not None
    assert ("commit", first[:12], second[:12]) in [(d.what, d.before, d.after) for d in comparison.differences]
    assert comparison.code is not None
    assert "code.py | 2 +-" in comparison.code


async def test_a_run_that_waits_for_its_retry_says_so_and_why_it_failed(failing: Failing) -> None:
    run = await failing.run("echo 'error: gone'; exit 3", retries=Retries(limit=1, delay=3600.0))
    found = failing.explained(run)
    assert found.diagnosis.cause is Cause.WAITING
    assert "attempt 1 failed: exit code 3: error: gone" in found.diagnosis.evidence
    assert found.lines == ["error: gone"]


async def test_a_run_that_succeeded_in_the_end_names_the_attempts_that_did_not(failing: Failing) -> None:
    run = await failing.run("exit $((2 - AQUEUE_ATTEMPT))", retries=Retries(limit=1))
    (again,) = failing.book.claim(jobs=1000)
    assert again.id == run.id
    failing.book.finish(again)
    found = failing.explained(run)
    assert (found.diagnosis.cause, found.attempt) == (Cause.SUCCEEDED, None)
    assert found.diagnosis.evidence == ("attempt 1 failed: exit code 1",)


def test_a_run_that_waits_for_another_says_why_that_one_waits(
    failing: Failing, connection: sqlite3.Connection
) -> None:
    chain = Chain(connection, failing.folder)
    first, second = (*chain.enqueue(wants("a")), *chain.enqueue(wants("b", after=["a"])))
    found = failing.explained(failing.book.get(second)).diagnosis
    assert found.verdict == f"run {second} is queued: waits for run {first}"
    assert found.evidence == (f"run {first} a is queued: no server is running; `aqueue serve` starts one",)
    assert found.next_steps[0].startswith(f"`aqueue why {first}` says why")
    found = failing.explained(failing.book.get(first)).diagnosis
    assert (found.verdict, found.next_steps) == (
        f"run {first} is queued: no server is running",
        ("`aqueue serve` starts one",),
    )


def test_a_run_that_was_aborted_because_of_another_names_the_end_of_that_one(
    failing: Failing, connection: sqlite3.Connection
) -> None:
    chain = Chain(connection, failing.folder)
    chain.a_then_b()
    (running,) = failing.book.claim()
    failing.book.finish(running, code=3)
    found = failing.explained(failing.book.get(2)).diagnosis
    assert found.cause is Cause.PREREQUISITE
    assert found.verdict == "run 2 was aborted because run 1 a, which it comes after, failed"
    assert found.evidence == ("run 1 a failed: exit code 3",)


def test_a_run_that_is_held_cancelled_or_running_is_explained_as_such(failing: Failing) -> None:
    held, running = failing.book.add("one", hold=True), failing.book.add("two")
    assert failing.explained(held).diagnosis.verdict == f"run {held.id} is held"
    failing.book.claim()
    assert failing.explained(running).diagnosis.cause is Cause.RUNNING
    failing.book.store.lifecycle.cancel(held, "cancelled", Clock().now())
    found = failing.explained(held).diagnosis
    assert (found.cause, found.verdict) == (Cause.CANCELLED, f"run {held.id} was aborted: cancelled")
