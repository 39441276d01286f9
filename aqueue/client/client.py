"""The client: everything a program can do with a folder. `from aqueue import Client`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from aqueue.client.listing import Chosen, ids_of
from aqueue.client.options import (
    RunLike,
    moment_of,
    name_of,
    number_of,
    path_of,
    runs_in,
    seconds_of,
    states_in,
    text_of,
    written,
)
from aqueue.client.queueing import Queueing
from aqueue.client.results import Log, Runs
from aqueue.client.selection import newest_of_each, resolve_all
from aqueue.client.session import reading
from aqueue.client.wait_reasons import Waits
from aqueue.errors import RunError, UsageError
from aqueue.model.run import Run, State

if TYPE_CHECKING:
    from datetime import datetime

    from aqueue.client.check import Checked
    from aqueue.client.compare import Comparison
    from aqueue.client.events import RunEvent


class Client(Queueing):
    """A client of an aqueue folder: queues runs, reads their results, and changes runs, queues and servers.

    Threads can share a client. Asynchronous code calls it with `anyio.to_thread.run_sync`. All errors are
    `AqueueError`s, whose text says what is wrong and whose `hint` says what to do.

    A run is given as a `Run`, as its id, as `NAME:RUN_ID`, or as a RUN_ID or a name that only one run has. Where
    several runs can be given, one can be given without a list around it.

    Args:
        directory: the folder.
        warn: called with the text of each warning; default: `warnings.warn`.

    Raises:
        FolderError: it is not an aqueue folder, or is not safe to use.
    """

    # Asking

    def runs(
        self,
        *,
        states: State | str | Iterable[State | str] = (),
        queue: str | None = None,
        tag: str | None = None,
        group: str | None = None,
        since: datetime | float | str | None = None,
        sort: str | None = None,
        limit: int | None = None,
    ) -> Runs:
        """Return the runs that match all conditions, oldest first.

        Args:
            states: one or several of `queued`, `held`, `running`, `succeeded`, `failed` and `aborted`.
            tag: `key=value`, or `key` for any value of it.
            since: when they were queued, started or ended at the earliest: a time, or as in `aqueue ls --since`.
            sort: the column, param or metric to sort by, smallest first; with a `-` before it, largest first.
            limit: return at most so many: the newest, or the first in the order of `sort`.

        Raises:
            RunError: there is no such group, or no run has what to sort by.

        >>> runs = queue.enqueue({"name": "train", "command": "echo $lr"}, params={"lr": [0.1, 0.01]})
        >>> [row["lr"] for row in queue.runs(group="train", sort="lr").table()]
        [0.01, 0.1]
        """
        chosen = _chosen(states, queue, tag, group, since)
        key, most = text_of("sort", sort), number_of("limit", limit, 1)
        with reading(self._folder) as store:
            return Runs(store.runs.each(ids_of(store, chosen, Waits(store, self._folder, self._warn), key, most)))

    def ls(
        self,
        *,
        states: State | str | Iterable[State | str] = (),
        queue: str | None = None,
        tag: str | None = None,
        group: str | None = None,
        since: datetime | float | str | None = None,
        sort: str | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Return the runs that match all conditions, in the form of `aqueue ls --json`; see `runs`."""
        from aqueue.client.views.runs import slices_as_json

        chosen = _chosen(states, queue, tag, group, since)
        key, most = text_of("sort", sort), number_of("limit", limit, 1)
        with reading(self._folder) as store:
            ids = ids_of(store, chosen, Waits(store, self._folder, self._warn), key, most)
            slices = slices_as_json(store, self._folder, ids, self._warn)
            return [row for rows in slices for row in rows]

    def compare(
        self, x: str, y: str, by: str | None = None, *, group: str | None = None, tag: str | None = None
    ) -> Comparison:
        """Compare a metric of runs, whose `table()` has a row for each value of x.

        Args:
            x: a param, metric or column.
            y: a metric, or another number.
            by: a param, metric or column; makes rows of their own for each of its values.
            group: compare only the runs of this group.
            tag: compare only the runs with this tag: `key=value`, or `key` for any value of it.

        Raises:
            RunError: no run has both x and y.

        >>> runs = queue.enqueue({"name": "t", "command": "echo $lr"}, params={"lr": [0.1, 0.01]}, group="lrs")
        >>> queue.compare("lr", "id", group="lrs").table()[0]["runs"]
        1
        """
        from aqueue.client.compare import compare

        keys = [text_of(key, text) for key, text in (("x", x), ("y", y))]
        if None in keys:
            raise UsageError("x and y are missing", "name a param, a metric or a column as each of them")
        group, tag = text_of("group", group), text_of("tag", tag)
        return compare(self._folder, x, y, text_of("by", by), self._warn, group=group, tag=tag)

    def check(self, file: str | os.PathLike[str]) -> Checked:
        """Check a task file, or an `aqueue.yaml`, and return what it asks for; queue nothing.

        Raises:
            FileError: it has errors.

        >>> from pathlib import Path
        >>> _ = Path("train.yaml").write_text("command: python train.py")
        >>> [task.name for task in queue.check("train.yaml").tasks]
        ['train']
        """
        from aqueue.client.check import check

        return check(path_of("file", file))

    def run(self, run: RunLike) -> Run:
        """Return a run as it is now.

        Raises:
            RunError: there is none, or several are meant.

        >>> run = queue.add("true", name="train")
        >>> queue.run(f"train:{run.run_id}").id == queue.run(run.run_id).id == queue.run("train").id == run.id
        True
        """
        with reading(self._folder) as store:
            return store.runs.resolve(written(run))

    def why(self, run: RunLike) -> str | None:
        """Return why a run is not started yet, or that it waits for input; None if nothing blocks it."""
        from aqueue.client.wait_reasons import waits

        with reading(self._folder) as store:
            (reason,) = waits(store, self._folder, [store.runs.resolve(written(run))], self._warn)
        return reason

    def explain(self, run: RunLike) -> dict[str, Any]:
        """Return why a run waits or failed, and what to do, in the form of `aqueue why --json`."""
        from aqueue.client import why
        from aqueue.client.views.why import explanation_as_json

        return explanation_as_json(why.explain(self._folder, written(run), self._warn))

    def describe(self, run: RunLike) -> dict[str, Any]:
        """Return all facts about a run, in the form of `aqueue show --json`."""
        from aqueue.client.details import details_of
        from aqueue.client.views.runs import details_as_json

        return details_as_json(details_of(self._folder, written(run), self._warn))

    def status(self) -> dict[str, Any]:
        """Return servers, queues, GPUs and schedules, in the form of `aqueue status --json`."""
        from aqueue.client.status import take_status
        from aqueue.client.views.status import status_as_json

        return status_as_json(take_status(self._folder, self._warn))

    def gpus(self) -> dict[str, Any]:
        """Return the GPUs of this machine, in the form of `aqueue gpus --json`."""
        from aqueue.client.gpus import read_gpus
        from aqueue.client.views.gpus import gpus_as_json

        return gpus_as_json(read_gpus(self._folder, self._warn))

    def schedules(self) -> list[dict[str, Any]]:
        """Return the schedules, in the form of `aqueue schedules --json`."""
        from aqueue.client.schedules import all_schedules
        from aqueue.client.views.schedules import schedules_as_json

        with reading(self._folder) as store:
            return schedules_as_json(all_schedules(store))

    def log(self, run: RunLike, attempt: int | None = None) -> Log:
        r"""Return the output of a run.

        Args:
            attempt: the number of an attempt; default: the last.

        >>> with queue.serving(jobs=2):
        ...     [ended] = queue.wait(queue.add("echo hello"), timeout=60)
        >>> str(ended.state), queue.log(ended).text()
        ('succeeded', 'hello\n')
        """
        return Log(self._folder, written(run), number_of("attempt", attempt, 1), self._warn)

    def wait(
        self,
        runs: RunLike | Iterable[RunLike] | None = None,
        *,
        group: str | None = None,
        timeout: float | str | None = None,
    ) -> Runs:
        """Wait until runs are finished, and return them in their final state.

        Args:
            runs: default: all that are queued or running now.
            group: also wait for the runs of this group; of runs with the same name, only the newest.
            timeout: how long to wait at most, in seconds or as `1h30m`.

        Raises:
            WaitTimeoutError: some are not finished after that time; it is a `TimeoutError`, too.
            StuckError: the rest cannot start unless you do something, such as release them.
            RunError: a run does not exist, or was removed meanwhile.
        """
        from aqueue.client import follow

        group = name_of("group", group)
        if runs is None and group is None:
            ids = [run.id for run in self.runs(states=(State.QUEUED, State.RUNNING))]
        else:
            with reading(self._folder) as store:
                found = resolve_all(store, tuple(map(written, runs_in(() if runs is None else runs))))
                found += newest_of_each(resolve_all(store, (), group)) if group is not None else []
                ids = [*dict.fromkeys(run.id for run in found)]
        ended: dict[int, Run] = {}
        limit = seconds_of("timeout", timeout)
        for progress in follow.wait(self._folder, [*map(str, ids)], None, self._warn, limit) if ids else ():
            ended.update((run.id, run) for run in progress.ended)
            if progress.stuck:
                raise follow.StuckError(progress.stuck)
            if progress.gone:
                raise RunError(f"run {progress.gone[0]} no longer exists: it was dequeued or pruned")
            if progress.unserved:
                self._warn(progress.unserved)
        return Runs(ended[id_] for id_ in ids)

    def events(self) -> Iterator[RunEvent]:
        """Yield an event whenever a run is accepted, is started or ends, from this call on."""
        from aqueue.client.events import events

        return events(self._folder)


def _chosen(
    states: State | str | Iterable[State | str],
    queue: str | None,
    tag: str | None,
    group: str | None,
    since: datetime | float | str | None,
) -> Chosen:
    return Chosen(
        states=states_in(states),
        queue=text_of("queue", queue),
        tag=text_of("tag", tag),
        group=text_of("group", group),
        since=moment_of("since", since),
    )
