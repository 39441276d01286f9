"""`from aqueue import Client`: what the command line can, without a command line."""

import doctest
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.to_thread
import msgspec
import pytest

import aqueue
from aqueue import AqueueError, Client, Run, State, Task
from aqueue.client import client, control, queueing, revising
from aqueue.errors import RunError, UsageError, WaitTimeoutError
from aqueue.folder.layout import Folder
from aqueue.model.notification import Event, Notify
from aqueue.processes import is_alive
from tests.waiting import eventually


@pytest.mark.parametrize("module", [client, control, queueing, revising], ids=lambda module: module.__name__)
def test_what_the_docstrings_show_is_so(queue: Client, module: object) -> None:
    failed, tried = doctest.testmod(module, extraglobs={"aqueue": aqueue, "queue": queue})  # type: ignore[arg-type]  # any object will do
    assert tried and not failed


def test_the_package_is_imported_without_its_client() -> None:
    code = "import aqueue, sys; assert not [name for name in sys.modules if name.startswith('aqueue.')]"
    subprocess.run([sys.executable, "-c", f"{code}; aqueue.Client; aqueue.State.QUEUED"], check=True)
    with pytest.raises(AttributeError, match="no attribute 'Clint'"):
        getattr(aqueue, "Clint")  # noqa: B009 - mypy knows that there is none


def test_the_public_names_can_be_listed_and_imported() -> None:
    assert {*aqueue.__all__} <= {*dir(aqueue)}
    for name in aqueue.__all__:
        assert getattr(aqueue, name)


def test_a_run_is_printed_in_a_line_without_its_variables(queue: Client) -> None:
    run = queue.add("true", name="t", env={"TOKEN": "secret"})
    assert repr(run) == f"Run(id={run.id}, name='t', run_id='{run.run_id}', state='queued')"
    assert "secret" not in f"{run} {queue.runs()}"
    (over,) = queue.cancel(run)
    assert repr(over).endswith("state='aborted', reason='cancelled')")


@pytest.mark.parametrize("wrong", [None, 1.5, True, [None], 1j], ids=str)
def test_what_is_no_run_is_refused(queue: Client, wrong: Any) -> None:
    queue.add("true")
    for ask in (queue.cancel, queue.retry, queue.hold, queue.release):
        with pytest.raises(UsageError, match="runs: "):
            ask(wrong)
    with pytest.raises(UsageError, match="runs: "):
        queue.log(wrong)
    assert [run.state for run in queue.runs()] == [State.QUEUED]


def test_runs_are_asked_for_by_one_state_or_several(queue: Client) -> None:
    run, held = queue.add("true"), queue.add("true", hold=True)
    assert [one.id for one in queue.runs(states="queued")] == [run.id]
    assert [one.id for one in queue.runs(states=State.HELD)] == [held.id]
    assert [one.id for one in queue.runs(states=["queued", State.HELD], limit=1)] == [held.id]
    assert len(queue.runs(since="1h")) == len(queue.runs(since=datetime.now() - timedelta(hours=1))) == 2
    assert not queue.runs(since=2**40)
    assert not queue.ls(since="2999-01-01")
    wrong: dict[str, Any]
    for wrong in (
        {"states": "nope"},
        {"states": 1},
        {"limit": -1},
        {"limit": True},
        {"tag": 1},
        {"sort": 1},
        {"since": "soon"},
    ):
        (key,) = wrong
        with pytest.raises(UsageError, match=f"{key}: "):
            queue.runs(**wrong)
    with pytest.raises(RunError, match="none of 2 runs has 'nope'"):
        queue.runs(sort="nope")
    with pytest.raises(UsageError, match="queue: "):
        queue.pause(cast("str", None))


def test_a_script_queues_serves_waits_and_reads(queue: Client) -> None:
    (Path.cwd() / "train.yaml").write_text("command: echo loss=$lr\nparams: {lr: 1}\n")
    with queue.serving(jobs=2):
        first = queue.add(["echo", "hello"], name="first")
        runs = queue.enqueue("train.yaml", params={"lr": [0.1, 0.01]}, group="sweep")
        last = queue.add("echo last", after=[first, *runs])
        done = queue.wait([last, *runs], timeout=60)
    assert [run.id for run in done] == [last.id, *(run.id for run in runs)]
    assert {run.state for run in done} == {State.SUCCEEDED}
    assert [*queue.log(last).follow()] == ["last"]
    assert [row["lr"] for row in queue.runs(group="sweep").table()] == [0.1, 0.01]


def test_a_server_of_a_block_leaves_when_its_program_is_killed(folder: Folder) -> None:
    program = "import sys, time, aqueue\nwith aqueue.Client(sys.argv[1]).serving() as pid:\n"
    program += "    print(pid, flush=True)\n    time.sleep(300)"
    with subprocess.Popen([sys.executable, "-c", program, str(folder.path)], stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        pid = int(killed.stdout.readline())
        assert is_alive(pid)
        killed.kill()
    eventually(lambda: not is_alive(pid))


def test_ctrl_c_in_a_block_waits_for_the_server_too(queue: Client) -> None:
    with pytest.raises(KeyboardInterrupt), queue.serving() as pid:
        queue.add("sleep 0.5")
        eventually(lambda: queue.runs(states="running"))
        raise KeyboardInterrupt
    assert not is_alive(pid)
    assert [run.state for run in queue.runs()] == [State.SUCCEEDED]


def test_a_wait_tells_that_the_server_was_killed(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aqueue.client.follow.RECHECK_SECONDS", 0.1)
    said: list[str] = []
    queue = Client(folder.path, warn=said.append)
    with queue.serving() as pid:
        run = queue.add("sleep 300")
        eventually(lambda: queue.runs(states="running"))
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(WaitTimeoutError):
            queue.wait(run, timeout=1)
        assert said and "no server is running" in said[0]
        assert len(said) == 1
        queue.cancel(run)


def test_the_params_of_a_run_are_plain_values(queue: Client) -> None:
    (queue.path.parent / "t.yaml").write_text("command: 'true'\nparams: {lr: 1e-3, b: 0.10, d: True, n: ~}\n")
    (run,) = queue.enqueue(queue.path.parent / "t.yaml")
    assert run.params == {"lr": 0.001, "b": 0.1, "d": True, "n": None}


def test_what_can_be_queued_from_python_is_a_task_too(queue: Client) -> None:
    task = Task(name="t", command=("true",), working_dir="/")
    (run,) = queue.enqueue(task, tags=["a=b"], gpus=[0, 1])
    assert (run.task.command, run.task.tags, run.task.gpus) == (("true",), ("a=b",), (0, 1))
    (given,) = queue.enqueue(
        {
            "name": "m",
            "command": "true",
            "retries": 2,
            "params": {"flag": True, "text": "1e3", "lr": 1e-05},
        }
    )
    assert (given.task.retries.limit, given.task.params) == (
        2,
        {"flag": True, "text": "1e3", "lr": 1e-05},
    )


def test_events_are_told_from_the_call_on_as_they_happen(queue: Client) -> None:
    queue.add("true", name="before", hold=True)
    events = queue.events()
    run = queue.add("true")
    seen: list[str] = []

    def listen() -> None:
        for event in events:
            seen.append(f"{event.kind} {event.run.id}")
            if event.kind == "ended":
                return

    listener = threading.Thread(target=listen)
    listener.start()
    with queue.serving():
        listener.join(60)
    assert seen == [f"accepted {run.id}", f"started {run.id}", f"ended {run.id}"]


def test_a_wait_ends_at_its_deadline_and_where_only_a_person_can_help(queue: Client) -> None:
    run = queue.add("true", name="held", hold=True)
    with pytest.raises(aqueue.StuckError, match="held cannot start") as stuck:
        queue.wait(run)
    assert isinstance(stuck.value, RunError)
    queue.release(run)
    with pytest.raises(TimeoutError, match=f"not ended after 0.01 s: {run.id}") as late:
        queue.wait(run, timeout=0.01)
    assert isinstance(late.value, AqueueError)
    assert queue.wait([]) == []
    assert "no server is running" in (queue.why(run) or "")


def test_runs_are_held_released_cancelled_retried_and_dequeued(queue: Client) -> None:
    run, other = queue.add("true", group="g", name="a"), queue.add("true", name="b")
    assert [held.state for held in queue.hold(group="g")] == [State.HELD]
    assert [back.state for back in queue.release([run])] == [State.QUEUED]
    assert [over.state for over in queue.cancel(run.id)] == [State.ABORTED]
    assert [again.state for again in queue.retry("a")] == [State.QUEUED]
    assert queue.dequeue("b", other).id == other.id
    queue.pause("a")
    assert "paused" in (queue.why(run) or "")
    assert queue.resume("a")
    assert not queue.resume("a")
    assert queue.prune(keep="7d") == 0
    with pytest.raises(UsageError, match="no runs are named"):
        queue.cancel()
    assert queue.cancel([]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "no name"}, {"priority": "urgent"}, {"tags": ["a,b"]}, {"gpus": -1}, {"gpus": []},
        {"gpu_memory": "much"}, {"timeout": "soon"}, {"params": {"lr": [1, 2]}}, {"params": {"lr": b""}},
        {"params": {"AQUEUE_X": 1}}, {"env": {"A-B": "1"}}, {"after_any": True}, {"after": "nobody"},
    ],
    ids=str,
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_a_hint_and_nothing_is_queued(
    queue: Client, wrong: dict[str, object]
) -> None:
    with pytest.raises(AqueueError) as caught:
        queue.add("true", **wrong)  # type: ignore[arg-type]  # wrong on purpose
    assert caught.value.hint
    assert queue.runs() == []


def test_what_json_says_on_the_command_line_is_told_as_plain_values(queue: Client) -> None:
    (Path.cwd() / "queue" / "nightly.yaml").write_text("command: 'true'\nschedule: 0 3 * * *\n")
    run = queue.add("true", name="a")
    with queue.serving():
        queue.wait(run, timeout=60)
        eventually(queue.schedules)
        (server,) = queue.status()["servers"]
        assert server["jobs"] == 1
    described = queue.describe(run)
    assert (described["state"], [attempt["number"] for attempt in described["attempts"]]) == ("succeeded", [1])
    ask = [sys.executable, "-m", "aqueue", "--dir", str(queue.path)]
    for told, verb in (
        (described, ["show", str(run.id)]),
        (queue.status(), ["status"]),
        (queue.schedules(), ["schedules"]),
        (queue.gpus(), ["gpus"]),
        (queue.ls(), ["ls"]),
    ):
        printed = subprocess.run([*ask, *verb, "--json"], capture_output=True, check=True).stdout
        assert msgspec.json.decode(printed) == msgspec.json.decode(msgspec.json.encode(told))


def test_threads_and_asynchronous_code_share_a_client(queue: Client) -> None:
    async def add_many() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(anyio.to_thread.run_sync, partial(queue.add, "true"))

    anyio.run(add_many)
    assert len({run.id for run in queue.runs()}) == 8


def test_each_step_of_what_is_followed_may_be_taken_in_another_thread(queue: Client) -> None:
    run = queue.add("echo a; sleep 0.2; echo b")

    def next_in_thread(lines: Iterator[str], found: list[str | None]) -> None:
        thread = threading.Thread(target=lambda: found.append(next(lines, None)))
        thread.start()
        thread.join(60)

    lines, found = queue.log(run).follow(), list[str | None]()
    with queue.serving():
        for _ in range(3):
            next_in_thread(lines, found)
    assert found == ["a", "b", None]


def test_a_notebook_shows_runs_as_tables(queue: Client) -> None:
    run = queue.add("true", name="a", params={"text": "<b>"})
    assert "<td>text=&lt;b&gt;</td>" in run._repr_html_()
    assert "<td>&lt;b&gt;</td>" in queue.runs()._repr_html_()


def test_a_folder_is_found_as_commands_find_it(queue: Client, tmp_path: Path) -> None:
    assert Client.find().path == Client(tmp_path / "queue").path == queue.path
    with pytest.raises(AqueueError):
        Client(tmp_path / "nowhere")
    assert isinstance(queue.add("true"), Run)


def test_a_run_tells_whom_a_program_says(queue: Client) -> None:
    (queue.path / "aqueue.yaml").write_text("notify: [{name: phone, command: 'true'}]")
    meant = Notify(on=(Event.FAILED,), to=("phone",))
    assert queue.add("true", notify=["failed", "phone"]).task.notify == meant
    (run,) = queue.enqueue(Task(name="x", command="true", notify=meant), notify="never")
    assert run.task.notify == Notify(on=())
    for wrong in ("phnoe", ["never", "failed"]):
        with pytest.raises(UsageError, match="notify"):
            queue.add("true", notify=wrong)
    with pytest.raises(UsageError, match="there is no target named mail"):
        queue.enqueue(Task(name="x", command="true", notify=Notify(to=("mail",))))


def test_the_example_of_the_readme_is_so(queue: Client, capsys: pytest.CaptureFixture[str]) -> None:
    readme = Path(aqueue.__file__).parents[1] / "README.md"
    if not readme.exists():
        pytest.skip("the README is not installed with the package")
    (example,) = re.findall(r"## From Python\n\n```python\n(.*?)```", readme.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(example, names)
    assert capsys.readouterr().out == "succeeded {'loss': 0.1} AQUEUE_METRIC loss=0.1\n\n"
    assert [row["lr"] for row in cast("list[dict[str, object]]", names["rows"])] == [0.1, 0.01]
