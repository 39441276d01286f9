import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aqueue.client.forecasts import Forecasts
from aqueue.client.progress_words import forecast_in_words, group_in_words
from aqueue.folder.layout import Folder
from aqueue.folder.server_locks import ServerLock
from aqueue.model.claim import GpuView
from aqueue.model.gpu import GpuProcess, GpuReading
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run, State, Trigger
from aqueue.model.server import Server
from aqueue.model.task import Task
from aqueue.policy.limits import Limits
from aqueue.store.store import Store
from tests.integration.store.gpu_machine import a_card

STARTED = 100.0
"""The seconds since the running runs of a scene started."""


class Scene:
    """A folder with a server that is up, and runs that started a while ago; nobody claims any more."""

    def __init__(self, connection: sqlite3.Connection, folder: Folder) -> None:
        self.now = time.time()
        self.folder = folder
        self.store = Store(connection)
        self.lock = ServerLock.announce(folder.servers)
        self.enter()

    def enter(self, **changes: Any) -> None:
        record = Server(
            id=self.lock.id, pid=1, boot="boot", jobs=1, started_at=self.now, heartbeat_at=self.now + 3600
        )
        self.store.servers.leave(self.lock.id)
        self.store.servers.enter(msgspec.structs.replace(record, **changes))

    def add(self, name: str, **changes: Any) -> int:
        task = msgspec.structs.replace(Task(name=name, command="true", working_dir="/"), **changes)
        id_ = self.store.submissions.add(task, self.now, trigger=Trigger.MANUAL)
        assert id_ is not None
        return id_

    def claim(self, gpus: GpuReading | None = None) -> list[Run]:
        view = GpuView(gpus, is_news=True) if gpus else None
        more = () if view is None else (view,)
        return self.store.claims.claim(self.lock.id, Limits(jobs=1), self.now - STARTED, *more).runs

    def run(self, name: str, output: str = "", **changes: Any) -> int:
        """Have a run running that has written this just now."""
        id_ = self.add(name, **changes)
        (run,) = self.claim()
        assert run.id == id_
        self.folder.make_run_dir(id_)
        self.folder.log(id_, 1).write_text(output)
        return id_

    def ran(self, name: str, seconds: float, code: int = 0, **changes: Any) -> None:
        self.run(name, **changes)
        (run,) = self.store.runs.in_state(State.RUNNING)
        end = Outcome(run=run, end=End.EXITED, at=self.now - STARTED + seconds, exit_code=code)
        self.store.lifecycle.finish(end, self.lock.id)

    def told(self, *ids: int) -> list[str]:
        """Return what is told of the progress or the start of each run; empty if nothing is."""
        forecasts = Forecasts(self.store, self.folder)
        return [forecast_in_words(forecasts.of(run)) for id_ in ids if (run := self.store.runs.get(id_))]


@pytest.fixture
def scene(connection: sqlite3.Connection, folder: Folder) -> Iterator[Scene]:
    scene = Scene(connection, folder)
    yield scene
    scene.lock.release()


def test_a_run_is_as_far_as_it_says_and_the_others_start_when_it_ends(scene: Scene) -> None:
    first = scene.run("a", "AQUEUE_PROGRESS 1/5 warming up\n")
    assert scene.told(first, scene.add("b"), scene.add("c")) == [
        "20% (1/5), 7m left, warming up",
        "starts in ~7m",
        # How long b will take is unknown.
        "",
    ]


def test_what_has_been_silent_since_needs_less_now(scene: Scene) -> None:
    first = scene.run("a", "AQUEUE_PROGRESS 1/2\n")
    os.utime(scene.folder.log(first, 1), (scene.now - 40, scene.now - 40))
    assert scene.told(first) == ["50% (1/2), 20s left"]


def test_a_task_has_a_pattern_of_its_own(scene: Scene) -> None:
    output = "epoch 2/4\n 99%|#########9| 99/100 [01:00<00:01, 1.0it/s]\n"
    first = scene.run("a", output, progress=r"epoch (\d+)/(\d+)")
    assert scene.told(first) == ["50% (2/4), 2m left"]


def test_history_tells_what_a_run_does_not(scene: Scene) -> None:
    for seconds in (300.0, 400.0, 500.0):
        scene.ran("a", seconds)
    scene.ran("a", 1.0, code=1)
    first = scene.run("a", "no word of it\n")
    assert scene.told(first, scene.add("a"), scene.add("a")) == [
        "usually 6m40s",
        "starts in ~5m",
        "starts in ~12m",
    ]


def test_what_takes_longer_than_usual_tells_nothing_of_its_end(scene: Scene) -> None:
    scene.ran("a", 10.0)
    scene.ran("a", 10.0)
    assert scene.told(scene.run("a"), scene.add("a")) == ["usually 10s", ""]


def test_nothing_is_told_where_nobody_starts_it(scene: Scene) -> None:
    scene.run("a", "AQUEUE_PROGRESS 1/2\n")
    waiting = scene.add("b")
    assert scene.told(waiting) == ["starts in ~2m"]
    scene.store.queues.pause("b")
    assert scene.told(waiting) == [""]
    scene.store.queues.resume("b")
    scene.enter(queues=("other",))
    assert scene.told(waiting) == [""]
    scene.store.servers.leave(scene.lock.id)
    assert scene.told(waiting) == [""]


def test_what_ends_frees_its_gpu(scene: Scene) -> None:
    gpus = [a_card(0), msgspec.structs.replace(a_card(1), processes=(GpuProcess(pid=77, user="ann"),))]
    at = scene.now - STARTED
    reading = GpuReading(began_at=at, ended_at=at, gpus=tuple(gpus))
    scene.enter(jobs=10)
    first = scene.add("a", gpus=1)
    assert [run.id for run in scene.claim(reading)] == [first]
    scene.folder.make_run_dir(first)
    scene.folder.log(first, 1).write_text("AQUEUE_PROGRESS 25%\n")
    assert scene.told(first, scene.add("b", gpus=1), scene.add("c", gpus=2), scene.add("d")) == [
        "25%, 5m left",
        "starts in ~5m",
        # The other GPU is in use by somebody else.
        "",
        "",
    ]


def test_a_group_is_as_far_as_its_runs_are(scene: Scene) -> None:
    scene.ran("s-1", 200.0, group="s")
    scene.ran("s-2", 200.0, group="s")
    scene.ran("s-3", 10.0, code=3, group="s")
    scene.run("s-4", group="s")
    scene.add("s-5", group="s")
    scene.add("other")

    def told() -> str:
        (group,) = Forecasts(scene.store, scene.folder).groups()
        return group_in_words(group)

    assert told() == "3/5, 1 failed, 5m left"
    scene.add("s-6", group="s", hold=True)
    assert told() == "3/6, 1 failed"


def test_an_output_behind_a_link_is_not_read(scene: Scene, tmp_path: Path) -> None:
    first = scene.run("a")
    (tmp_path / "other").write_text("AQUEUE_PROGRESS 1/2\n")
    scene.folder.log(first, 1).unlink()
    assert scene.told(first) == [""]
    scene.folder.log(first, 1).symlink_to(tmp_path / "other")
    assert scene.told(first) == [""]
