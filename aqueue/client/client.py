"""The client: everything a program can do with a folder. `from aqueue import Client`."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from aqueue.client import submit as submitting
from aqueue.client.control import Control
from aqueue.client.listing import Chosen, ids_of
from aqueue.client.options import Options, RunLike, runs_in, seconds_of, wishes_of, written
from aqueue.client.params import params_of
from aqueue.client.results import Log, Runs
from aqueue.client.session import config_in_force, newest_of_each, reading, refuse_if_disabled, resolve_all
from aqueue.errors import RunError, UsageError
from aqueue.model.run import Run, State
from aqueue.model.submission import Submission
from aqueue.model.task import Task

if TYPE_CHECKING:
    from aqueue.client.events import RunEvent
    from aqueue.model.config import Config


class Client(Control):
    """A folder, with methods to query and change it.

    Nothing stays open between calls, so threads can share a client. Asynchronous code can call it with
    `anyio.to_thread.run_sync`. Methods raise `AqueueError` with a message for the user.

    Args:
        directory: the folder.
        warn: is called with warnings; default: `warnings.warn`.

    Raises:
        FolderError: it is not an aqueue folder, or is not safe to use.
    """

    # Queueing

    def add(
        self,
        command: str | Sequence[str],
        *,
        params: Mapping[str, object] | None = None,
        env: Mapping[str, str] | None = None,
        timeout: float | str | None = None,
        hold: bool = False,
        **options: Unpack[Options],
    ) -> Run:
        """Queue one run of a command in the current directory.

        Args:
            command: a string for /bin/sh, or a program and its arguments.
            params: given to the command as environment variables.
            env: more variables.
            timeout: in seconds, or as `1h30m`; 0: no limit.
            hold: do not start it until it is released.
            options: see `Options`.

        >>> run = queue.add("echo $lr", name="train", params={"lr": 0.1})
        >>> run.name, str(run.state)
        ('train', 'queued')
        """
        given = params_of(params or {})
        if given.axes:
            name = next(iter(given.axes))
            raise UsageError(f"{name} has several values, but `add` queues a single run", "use `enqueue`")
        for variable in env or {}:
            submitting.check_variable(variable)
        words = command if isinstance(command, str) else [*command]
        if not (words if isinstance(words, str) else "".join(words[:1])).strip():
            raise UsageError("the command is empty", "name a program: 'python train.py'")
        config, wishes = config_in_force(self._folder, self._warn), wishes_of(options)
        seconds = seconds_of("timeout", timeout)
        request = submitting.command(config, words, wishes, env=env, timeout=seconds, hold=hold)
        (run,) = self._submit(config, [[given.applied_to(request, [request])]])
        return run

    def enqueue(
        self,
        source: str | os.PathLike[str] | Task | Mapping[str, object],
        *,
        params: Mapping[str, object] | None = None,
        samples: int | None = None,
        seed: int | None = None,
        **options: Unpack[Options],
    ) -> Runs:
        """Queue the runs of a task file, a task, or a mapping in the shape of a task file; all or none.

        Args:
            params: params and values; a list of values makes a run of each combination.
            samples: pick this many combinations at random.
            seed: the seed of the random picks.
            options: override keys of the file; see `Options`.

        >>> runs = queue.enqueue({"name": "train", "command": "echo $lr"}, params={"lr": [0.1, 0.01]})
        >>> [(run.name, run.task.params) for run in runs]
        [('train-1', {'lr': 0.1}), ('train-2', {'lr': 0.01})]
        """
        from aqueue.client import named_files

        config, wishes = config_in_force(self._folder, self._warn), wishes_of(options)
        given, doubts = params_of(params or {}, samples, seed), list[str]()
        if isinstance(source, Task):
            request = submitting.after_something(submitting.with_wishes(wishes)(Submission(task=source)))
            requests = [[given.applied_to(request, [request])]]
        elif isinstance(source, Mapping):
            requests, doubts = named_files.requests_of(config, source, wishes, given)
        else:
            file = os.fspath(source)
            requests, doubts = named_files.requests_in(self._folder, config, [file], wishes, given)
        for doubt in doubts:
            self._warn(doubt)
        return self._submit(config, requests)

    # Asking

    def runs(
        self,
        *,
        states: Collection[State | str] = (),
        queue: str | None = None,
        tag: str | None = None,
        group: str | None = None,
        sort: str | None = None,
        limit: int | None = None,
    ) -> Runs:
        """Return the runs that match all filters, oldest first; with a limit, the newest ones.

        Args:
            tag: `key=value`, or `key` for any value of it.
            sort: a column, param or metric to sort by; with a leading `-`, largest first.

        >>> rows = queue.runs(group="train", sort="lr").table()
        >>> [row["lr"] for row in rows]
        [0.01, 0.1]
        """
        chosen = Chosen(states=[State(state) for state in states], queue=queue, tag=tag, group=group)
        with reading(self._folder) as store:
            return Runs(store.runs.each(ids_of(store, chosen, sort, limit)))

    def run(self, run: RunLike) -> Run:
        """Return a run as it is now.

        Raises:
            RunError: there is none, or several are meant.
        """
        with reading(self._folder) as store:
            return store.runs.resolve(written(run))

    def why(self, run: RunLike) -> str | None:
        """Return why a run has not started; None if nothing blocks it, or it does not wait."""
        from aqueue.client.wait_reasons import waits

        with reading(self._folder) as store:
            (reason,) = waits(store, self._folder, [store.runs.resolve(written(run))], self._warn)
        return reason

    def describe(self, run: RunLike) -> dict[str, Any]:
        """Return the details of a run, as `aqueue show --json` prints them."""
        from aqueue.client import views

        return views.show(self._folder, written(run), self._warn).as_json()

    def status(self) -> dict[str, Any]:
        """Return servers, queues, GPUs and schedules, as `aqueue status --json` prints them."""
        from aqueue.client.status import take_status

        return take_status(self._folder, self._warn).as_json()

    def gpus(self) -> dict[str, Any]:
        """Return the GPUs of this machine, as `aqueue gpus --json` prints them."""
        from aqueue.client import gpu_views

        return gpu_views.read_gpus(self._folder, self._warn).as_json()

    def schedules(self) -> list[dict[str, Any]]:
        """Return the schedules, as `aqueue schedules --json` prints them."""
        from aqueue.client import schedule_views

        with reading(self._folder) as store:
            return schedule_views.all_as_json(store)

    def log(self, run: RunLike, attempt: int | None = None) -> Log:
        r"""Return the output of a run.

        >>> with queue.serving(jobs=2):
        ...     [ended] = queue.wait(queue.add("echo hello"), timeout=60)
        >>> str(ended.state), queue.log(ended).text()
        ('succeeded', 'hello\n')
        """
        return Log(self._folder, written(run), attempt, self._warn)

    def wait(
        self,
        runs: RunLike | Iterable[RunLike] | None = None,
        *,
        group: str | None = None,
        timeout: float | str | None = None,
    ) -> Runs:
        """Wait until runs have ended, and return them.

        Args:
            runs: the runs to wait for; default: all that are queued or running now.
            group: also wait for the runs of this group; of those with the same name, the newest.
            timeout: the longest wait, in seconds or as `1h30m`.

        Raises:
            TimeoutError: some runs have not ended in time.
            RunError: a run is gone, or needs you to start it, for instance because it is held.
        """
        from aqueue.client import follow

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
        """Yield events of runs from now on, as they happen: accepted, started, ended."""
        from aqueue.client.events import events

        return events(self._folder)

    def _submit(self, config: Config, requests: Sequence[Sequence[Submission]]) -> Runs:
        refuse_if_disabled(config)
        submitted = submitting.submit(self._folder, config, requests, self._warn)
        for doubt in submitted.doubts:
            self._warn(doubt)
        return self._of_ids(submitted.all_ids())
