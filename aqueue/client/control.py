"""The part of a client that changes runs, queues and servers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from aqueue.client import actions, queues
from aqueue.client.handle import Handle
from aqueue.client.options import RunLike, flag_of, invalid, name_of, seconds_of, selection_of, written
from aqueue.client.results import Runs
from aqueue.client.session import require
from aqueue.model.run import Run, State


class Control(Handle):
    """The methods of a client that change runs, queues, schedules and servers."""

    def cancel(self, runs: RunLike | Iterable[RunLike] = (), *, group: str | None = None) -> Runs:
        """Stop running runs and take queued ones off the queue; return them as they are now.

        Runs that come after them are aborted, too.

        >>> run = queue.add("sleep 60")
        >>> [str(run.state) for run in queue.cancel(run)]
        ['aborted']
        """
        return self._now(actions.cancel(self._folder, selection_of(runs, group)).runs)

    def retry(
        self, runs: RunLike | Iterable[RunLike] = (), *, group: str | None = None, only_failed: bool = False
    ) -> Runs:
        """Queue finished runs again, as new attempts; return them as they are now.

        Args:
            only_failed: leave out those that did not fail.
        """
        states = (State.FAILED,) if flag_of("only_failed", only_failed) else ()
        selection = selection_of(runs, group)._replace(states=states)
        return self._now(actions.retry(self._folder, selection, self._warn).runs)

    def hold(self, runs: RunLike | Iterable[RunLike] = (), *, group: str | None = None) -> Runs:
        """Hold queued runs, so that they are not started; return them as they are now."""
        return self._now(actions.hold(self._folder, selection_of(runs, group)))

    def release(self, runs: RunLike | Iterable[RunLike] = (), *, group: str | None = None) -> Runs:
        """Release held runs, so that they may be started; return them as they are now."""
        return self._now(actions.release(self._folder, selection_of(runs, group)).runs)

    def dequeue(self, queue: str, run: RunLike | None = None) -> Run:
        """Take a run off a queue; return it as it was.

        Args:
            run: default: the first in the queue.

        Raises:
            QueueError: the queue is empty.
        """
        return queues.dequeue(self._folder, _name("queue", queue), None if run is None else written(run)).run

    def prune(
        self,
        keep: float | str | None = None,
        *,
        runs: RunLike | Iterable[RunLike] = (),
        group: str | None = None,
    ) -> int:
        """Delete finished runs, old ones unless some are named, and return how many.

        Args:
            keep: keep those that finished within this time, in seconds or as `7d`; None: as configured, or 0 if
                runs are named.
        """
        from aqueue.client import pruning

        selection = None if runs == () and group is None else selection_of(runs, group)
        return pruning.prune(self._folder, seconds_of("keep", keep), self._warn, selection).runs

    def pause(self, queue: str) -> None:
        """Pause a queue: start no more of its runs until it is resumed. Running ones go on."""
        queues.pause(self._folder, _name("queue", queue))

    def resume(self, queue: str) -> bool:
        """Resume a queue; return True if it was paused.

        Raises:
            QueueError: it is paused in `aqueue.yaml`, too.
        """
        resumed = queues.resume(self._folder, _name("queue", queue), self._warn)
        if resumed.error is not None:
            raise resumed.error
        return resumed.was_paused

    def pause_schedule(self, name: str) -> None:
        """Pause a schedule: it makes no runs until it is resumed, nor any later for the times in between."""
        queues.pause_schedule(self._folder, _name("name", name))

    def resume_schedule(self, name: str) -> bool:
        """Resume a schedule; return True if it was paused."""
        return queues.resume_schedule(self._folder, _name("name", name))

    # Servers

    def start(
        self,
        jobs: int | None = None,
        *,
        idle_timeout: float | str | None = None,
        ignore_schedules: bool = False,
        queues: str | Iterable[str] | None = None,
        gpus: Sequence[int | str] | None = None,
        verbose: bool = False,
    ) -> int:
        """Start a server in the background, and return its pid; if one is running already, it is used.

        Args:
            jobs: how many runs may run at a time; default: as configured, or 1.
            idle_timeout: exit after this time without work, in seconds, as `1h30m`, or `never`; default: as
                configured, or 10 s.
            ignore_schedules: exit when idle even if there are schedules.
            queues: serve only these; default: all.
            gpus: use only these, a list of indices and UUIDs; default: all.
            verbose: write more into the server's log.

        Raises:
            AqueueError: it does not start.
        """
        from aqueue.client import servers
        from aqueue.client.serving import serving_of

        given = serving_of(
            jobs=jobs,
            idle_timeout=idle_timeout,
            ignore_schedules=ignore_schedules,
            queues=queues,
            gpus=gpus,
            verbose=verbose,
        )
        require(self._folder)
        return servers.start(self._folder, given, self._warn).pid

    def stop(self, *, kill: bool = False) -> None:
        """Let running runs finish, then have all servers exit; return when they are gone.

        Args:
            kill: stop running runs instead; they are aborted.
        """
        from aqueue.client import servers

        servers.wait_until_gone(
            self._folder, servers.dismiss(self._folder, kill=flag_of("kill", kill)).servers, lambda _: None
        )

    @contextmanager
    def serving(
        self,
        jobs: int | None = None,
        *,
        idle_timeout: float | str | None = None,
        ignore_schedules: bool = False,
        queues: str | Iterable[str] | None = None,
        gpus: Sequence[int | str] | None = None,
        verbose: bool = False,
    ) -> Iterator[int]:
        """Run a server during a `with` block, which is given its pid; at the end, wait for running runs.

        Args:
            jobs: how many runs may run at a time; default: as configured, or 1.
            idle_timeout: exit earlier, after this time without work, in seconds or as `1h30m`; default: never.
            ignore_schedules: exit when idle even if there are schedules.
            queues: serve only these; default: all.
            gpus: use only these, a list of indices and UUIDs; default: all.
            verbose: write more into the server's log.

        Raises:
            AqueueError: it does not start.
        """
        from aqueue.client import servers
        from aqueue.client.serving import serving_of

        given = serving_of(
            jobs=jobs,
            idle_timeout=idle_timeout,
            ignore_schedules=ignore_schedules,
            queues=queues,
            gpus=gpus,
            verbose=verbose,
        )
        with servers.serve_meanwhile(self._folder, given, self._warn) as pid:
            yield pid


def _name(key: str, given: str) -> str:
    if (name := name_of(key, given)) is None:
        raise invalid(key, given, "a name")
    return name
