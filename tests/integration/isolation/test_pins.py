"""Code that is kept for runs: by references that the store knows of, for as long as runs need them."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import pytest

from aqueue.folder.layout import Folder
from aqueue.isolation.pins import Pins, Snapshots
from aqueue.model.run import State, Trigger
from aqueue.model.submission import Submission
from aqueue.model.task import Isolation
from aqueue.store.database import connect, transaction
from aqueue.store.store import Store
from aqueue.store.work import Work
from tests.integration.repositories import Repository, hide_configuration
from tests.unit.records import a_task

T = TypeVar("T")


class Shelf:
    """A repository, and the folder in which runs of its code are queued."""

    def __init__(self, connection: sqlite3.Connection, folder: Folder, repository: Repository) -> None:
        self.connection = connection
        self.folder = folder
        self.repository = repository
        self.warnings: list[str] = []
        self.pins = Pins(folder.scratch, self.write, self.warnings.append)

    def write(self, work: Work[T]) -> T:
        with transaction(self.connection, self.folder):
            return work(self.connection)

    def keep(self, taken: Snapshots | None = None, **changes: Any) -> Submission:
        task = a_task(**{"working_dir": str(self.repository.path), "isolate": Isolation()} | changes)
        return self.pins.with_snapshot(Submission(task=task), {} if taken is None else taken)

    def queue(self, request: Submission) -> int:
        (accepted,) = self.write(
            lambda connection: Store(connection).submissions.enqueue([request], 1.0, trigger=Trigger.MANUAL)
        )
        return accepted.run_ids[0]

    def forget(self, run: int) -> None:
        def work(connection: sqlite3.Connection) -> None:
            store = Store(connection)
            found = store.runs.get(run)
            assert found is not None
            assert store.lifecycle.cancel(found, "", 2.0) is State.ABORTED
            store.runs.forget([run])

        self.write(work)

    @property
    def refs(self) -> list[str]:
        """Those in the repository, which the store must know."""
        refs = self.repository.git("for-each-ref", "--format=%(refname)", "refs/aqueue").split()
        known = {ref for (ref,) in self.connection.execute("SELECT ref FROM snapshots")}
        assert set(refs) <= known
        return refs

    def grow_old(self) -> None:
        self.connection.execute("UPDATE snapshots SET used_at = used_at - 601 WHERE used_at > 0")


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    hide_configuration(monkeypatch)
    folder = Folder(tmp_path / "queue")
    folder.create()
    with closing(connect(folder)) as connection:
        yield Shelf(connection, folder, Repository.create(tmp_path / "code"))


def commit_of(request: Submission) -> str:
    assert request.task.isolate is not None
    assert request.task.isolate.snapshot is not None
    return request.task.isolate.snapshot.commit


def test_what_is_queued_together_has_the_same_code(shelf: Shelf) -> None:
    taken: Snapshots = {}
    first = shelf.keep(taken)
    shelf.repository.write("code.py", "2\n")
    assert commit_of(shelf.keep(taken)) == commit_of(first)
    assert commit_of(shelf.keep()) != commit_of(first)


def test_a_reference_lasts_as_long_as_a_run_needs_it(shelf: Shelf) -> None:
    runs = [shelf.queue(shelf.keep()) for _ in range(2)]
    (ref,) = shelf.refs
    shelf.forget(runs[0])
    shelf.pins.remove_unused()
    assert shelf.refs == [ref]
    shelf.forget(runs[1])
    shelf.pins.remove_unused()
    assert shelf.refs == []
    assert shelf.connection.execute("SELECT count(*) FROM snapshots").fetchone() == (0,)


def test_a_reference_whose_run_is_about_to_be_queued_is_spared(shelf: Shelf) -> None:
    request = shelf.keep()
    shelf.pins.remove_unused()
    assert len(shelf.refs) == 1
    shelf.grow_old()
    shelf.keep()
    shelf.pins.remove_unused()
    assert len(shelf.refs) == 1, "it was needed once more meanwhile"
    shelf.queue(request)
    shelf.grow_old()
    shelf.pins.remove_unused()
    assert len(shelf.refs) == 1


def test_what_somebody_left_who_died_is_found(shelf: Shelf) -> None:
    shelf.keep()
    left = shelf.folder.scratch / "snapshot-x"
    left.mkdir()
    shelf.pins.remove_unused()
    assert left.exists()
    shelf.grow_old()
    os.utime(left, (0, 0))
    shelf.pins.remove_unused()
    assert shelf.refs == []
    assert not left.exists()


def test_a_reference_that_was_to_be_made_is_made_by_the_next(shelf: Shelf) -> None:
    request = shelf.keep()
    (ref,) = shelf.refs
    shelf.repository.git("update-ref", "-d", ref)
    assert commit_of(shelf.keep()) == commit_of(request)
    assert shelf.refs == [ref]


def test_one_that_is_about_to_go_is_not_used_again(shelf: Shelf) -> None:
    shelf.forget(shelf.queue(shelf.keep()))
    shelf.write(lambda connection: Store(connection).snapshots.unused(1.0))
    (doomed,) = shelf.refs
    shelf.queue(shelf.keep())
    shelf.pins.remove_unused()
    assert len(shelf.refs) == 1
    assert doomed not in shelf.refs


def test_a_file_of_the_command_that_git_does_not_track_is_warned_of(shelf: Shelf) -> None:
    shelf.repository.write("new.py")
    shelf.repository.write("data/points")
    shelf.keep(command="python code.py missing.py -x 'new.py'")
    assert shelf.warnings == []
    shelf.keep(command=("python", "new.py", "data/points"), isolate=Isolation(link=("data",)))
    (warning,) = shelf.warnings
    assert "new.py is not tracked" in warning
    shelf.repository.git("add", "new.py")
    shelf.keep(command="python new.py")
    assert len(shelf.warnings) == 1
