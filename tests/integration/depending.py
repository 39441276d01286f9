"""Runs that come after others, as short as a test wants to say it."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from aqueue.folder.layout import Folder
from aqueue.model.outcome import End, Outcome
from aqueue.model.run import Run, Trigger
from aqueue.model.submission import Submission, run_ids
from aqueue.model.sweep import Sweep
from aqueue.model.task import Task
from aqueue.policy.limits import Limits
from aqueue.store.database import transaction
from aqueue.store.store import Store
from tests.integration.recording import NOW

SERVER = "server"
LIMITS = Limits(jobs=100_000)


def wants(
    name: str,
    *,
    after: Iterable[str] = (),
    needs: Iterable[str] = (),
    any_end: bool = False,
    runs: int = 0,
    **task: Any,
) -> Submission:
    """A request for one run; or, if `runs` says so, for a sweep of so many."""
    return Submission(
        task=Task(name=name, command="true", working_dir="/", **task),
        sweep=Sweep(axes={"n": tuple(range(runs))}) if runs else None,
        after=tuple(after),
        needs=tuple(needs),
        after_any=any_end,
    )


class Chain:
    """A store in which things are done as by commands and servers: each in a transaction, by a `Store` of its own.

    After each, what is counted of runs that come after others is compared with what there is.
    """

    def __init__(self, connection: sqlite3.Connection, folder: Folder) -> None:
        self._connection = connection
        self._folder = folder
        self._seconds = count(1)
        self.last: Store

    @contextmanager
    def open(self) -> Iterator[Store]:
        with transaction(self._connection, self._folder):
            self.last = Store(self._connection)
            yield self.last
        self.check()

    @property
    def asked(self) -> Store:
        """For questions."""
        return Store(self._connection)

    def now(self) -> float:
        return NOW + next(self._seconds)

    # What happens

    def enqueue(self, *requests: Submission) -> list[int]:
        """Queue what is requested together; returns the ids of all runs."""
        with self.open() as store:
            return run_ids(store.submissions.enqueue(requests, self.now(), trigger=Trigger.MANUAL))

    def a_then_b(self, **b: Any) -> None:
        """Queue a run `a`, and a run `b` that comes after it."""
        self.enqueue(wants("a"))
        self.enqueue(wants("b", after=["a"], **b))

    def accept(self, source: str, *requests: Submission) -> list[int]:
        with self.open() as store:
            return run_ids(store.submissions.accept(source, requests, self.now()))

    def start(self) -> list[str]:
        """Start all that can start; returns the names."""
        with self.open() as store:
            return [run.name for run in store.claims.claim(SERVER, LIMITS, self.now()).runs]

    def end(self, name: str, code: int | None = 0, end: End = End.EXITED, why: str = "") -> Run:
        with self.open() as store:
            outcome = Outcome(run=self.run(name), end=end, exit_code=code, at=self.now(), why=why)
            run = store.lifecycle.finish(outcome, SERVER)
        assert run is not None
        assert run == self.run(name)
        return run

    def go(self, name: str, code: int = 0) -> Run:
        """Start all that can start, and have one of them end."""
        self.start()
        return self.end(name, code)

    def cancel(self, *names: str) -> None:
        with self.open() as store:
            for name in names:
                store.lifecycle.cancel(
                    store.runs.get(self.run(name).id) or self.run(name), "cancelled", self.now()
                )

    def retry(self, *names: str) -> list[str]:
        """Retry runs; returns the names of those that wait again with them."""
        runs = [self.run(name) for name in names]
        with self.open() as store:
            store.lifecycle.retry(runs)
        return sorted(self.get(id_).name for id_ in store.dependencies.restored)

    def hold(self, name: str) -> None:
        with self.open() as store:
            store.lifecycle.hold(self.run(name))

    def release(self, name: str) -> None:
        with self.open() as store:
            store.lifecycle.release(self.run(name))

    def dequeue(self, name: str) -> bool:
        with self.open() as store:
            return store.lifecycle.dequeue(self.run(name), "dequeued", self.now())

    def forget(self, *names: str) -> None:
        ids = [self.run(name).id for name in names]
        with self.open() as store:
            store.runs.forget(ids)

    # What there is

    def get(self, id_: int) -> Run:
        run = self.asked.runs.get(id_)
        assert run is not None
        return run

    def run(self, name: str) -> Run:
        """The newest run of that name."""
        (id_,) = self._connection.execute("SELECT max(id) FROM runs WHERE name = ?", (name,)).fetchone()
        return self.get(id_)

    def states(self) -> dict[str, str]:
        """The states of all runs by their names."""
        return dict(self._connection.execute("SELECT name, state FROM runs ORDER BY id").fetchall())

    def state(self, name: str) -> str:
        return self.states()[name]

    def waiting(self) -> set[str]:
        """The names of those that are queued or held, and wait for what they come after."""
        rows = self._connection.execute(
            "SELECT name FROM runs WHERE state IN ('queued', 'held') AND ready_at = 9e999"
        )
        return {name for (name,) in rows}

    def waits(self, name: str) -> bool:
        return name in self.waiting()

    def after(self, name: str) -> list[str]:
        """The names of what it comes after."""
        return [run.name for run in self.asked.dependencies.prerequisites(self.run(name))]

    def rows(self, table: str) -> int:
        (number,) = self._connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return int(number)

    def check(self) -> None:
        """Assert that the stored prerequisites agree with the runs."""
        wrong = self._connection.execute(
            "SELECT p.id, p.unmet, count(r.id) FROM prerequisites AS p"
            " LEFT JOIN prerequisite_runs AS m ON m.prerequisites = p.id"
            " LEFT JOIN runs AS r ON r.id = m.run AND r.state IN ('held', 'queued', 'running')"
            " GROUP BY p.id HAVING p.unmet <> count(r.id)"
        ).fetchall()
        assert wrong == [], "prerequisites, how many are said to be unmet, how many are"
        wrong = self._connection.execute(
            "SELECT runs.id, state, ready_at, unmet FROM runs LEFT JOIN prerequisites AS p ON p.id = prerequisites"
            " WHERE state IN ('held', 'queued') AND (coalesce(unmet, 0) > 0) <> (coalesce(ready_at, 0) = 9e999)"
        ).fetchall()
        assert wrong == [], "runs that wait for nothing, or do not wait for what they come after"
