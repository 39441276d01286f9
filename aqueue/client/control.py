"""The part of a client that changes runs, queues and servers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from aqueue.client import actions, queues
from aqueue.client.actions import Which
from aqueue.client.handle import Handle
from aqueue.client.options import RunLike, runs_in, seconds_of, written
from aqueue.client.results import Runs
from aqueue.errors import UsageError
from aqueue.model.run import Run


class Control(Handle):
    """The methods of a client that change runs, queues and servers."""

    def cancel(self, runs: RunLike | Iterable[RunLike] = (), *, group: str | None = None) -> Runs:
        """Cancel runs, and the runs that come after them; return their current state.

        >>> run = queue.add("sleep 60")
        >>> [str(run.state) for run in queue.cancel(run)]
        ['aborted']
        """
        return self._now(actions.cancel(self._folder, _which(runs, group)).runs)

    def retry(
        self, runs: RunLike | Iterable[RunLike] = (), *, group: str | None = None, only_failed: bool = False
    ) -> Runs:
        """Queue ended runs again, as new attempts; return their current state."""
        which = _which(runs, group)
        return self._now(actions.retry(self._folder, which, self._warn, only_failed=only_failed).runs)

    def hold(self, runs: RunLike | Iterable[RunLike] = (), *, group: str | None = None) -> Runs:
        """Keep queued runs from being started; return them as they are now."""
        return self._now(actions.hold(self._folder, _which(runs, group)))

    def release(self, runs: RunLike | Iterable[RunLike] = (), *, group: str | None = None) -> Runs:
        """Let held runs go; return them as they are now."""
        return self._now(actions.release(self._folder, _which(runs, group)).runs)

    def dequeue(self, queue: str, run: RunLike | None = None) -> Run:
        """Take the first run off a queue, or the one that is named; return it as it was."""
        return queues.dequeue(self._folder, queue, None if run is None else written(run)).run

    def prune(self, keep: float | str | None = None) -> int:
        """Forget runs that were over long ago, and return how many.

        Args:
            keep: what was over more recently, in seconds or as `7d`; None: as configured.
        """
        from aqueue.client import pruning

        return pruning.prune(self._folder, seconds_of("keep", keep), self._warn).runs

    def pause(self, queue: str) -> None:
        """Start nothing more of a queue until it is resumed; what runs goes on."""
        queues.pause(self._folder, queue)

    def resume(self, queue: str) -> bool:
        """Let a queue go on; return whether it was paused.

        Raises:
            QueueError: it is paused in `aqueue.yaml`, too.
        """
        resumed = queues.resume(self._folder, queue, self._warn)
        if resumed.error is not None:
            raise resumed.error
        return resumed.was_paused

    def pause_schedule(self, name: str) -> None:
        """Have a schedule make no runs; what is due meanwhile is not made up for."""
        queues.pause_schedule(self._folder, name)

    def resume_schedule(self, name: str) -> bool:
        """Let a schedule go on; return whether it was paused."""
        return queues.resume_schedule(self._folder, name)

    # Servers

    def start(self, jobs: int | None = None, **serving: Any) -> int:
        """Have a server serve in the background, and return its pid; one that is up already is used.

        Args:
            jobs: the most runs at a time.
            serving: see `aqueue.client.servers.Serving`.
        """
        from aqueue.client import servers

        return servers.start(self._folder, servers.Serving(jobs, **serving), self._warn).pid

    def stop(self, *, kill: bool = False) -> None:
        """Have all servers exit once what runs is over, and wait until they are gone.

        Args:
            kill: stop what runs, too; it is aborted.
        """
        from aqueue.client import servers

        servers.wait_until_gone(self._folder, servers.dismiss(self._folder, kill=kill).servers, lambda _: None)

    @contextmanager
    def serving(self, jobs: int | None = None, **serving: Any) -> Iterator[int]:
        """Serve for as long as a block of code, for notebooks and tests; at its end what runs is waited for.

        Args:
            jobs: the most runs at a time.
            serving: see `aqueue.client.servers.Serving`.
        """
        from aqueue.client import servers

        with servers.serve_meanwhile(self._folder, servers.Serving(jobs, **serving), self._warn) as pid:
            yield pid


def _which(runs: RunLike | Iterable[RunLike], group: str | None) -> Which:
    named = [written(run) for run in runs_in(runs)]
    if not named and group is None and isinstance(runs, tuple):
        raise UsageError("no runs are named", "name some, or a group: group='train'")
    return Which(named, group)
