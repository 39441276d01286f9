"""Slots of queues and GPUs as limiters in this process: a second check on the runs that it claims.

The store's claim decides, in one transaction, which server of a folder starts a run, and enforces every limit.
So a run that is claimed but finds no token is a defect.
"""

from collections.abc import Mapping
from typing import NamedTuple

import anyio

from aqueue.model.run import Run
from aqueue.policy.limits import Limits


class _Tokens(NamedTuple):
    run: Run
    limiters: list[anyio.CapacityLimiter]


class Slots:
    """The tokens of runs: of a queue, of each GPU, and of `jobs` if the queue is not configured.

    A holder is any object; it keeps the tokens of one run until it gives them back.
    """

    def __init__(self) -> None:
        self._limits = Limits()
        self._jobs = anyio.CapacityLimiter(self._limits.jobs)
        self._queues: dict[str, anyio.CapacityLimiter] = {}
        self._gpus: dict[str, anyio.CapacityLimiter] = {}
        self._holders: dict[object, _Tokens] = {}

    def resize(self, limits: Limits) -> None:
        """Apply new limits. Taken tokens stay taken, even beyond the new limit."""
        before, self._limits = self._limits, limits
        if limits.jobs != before.jobs:
            self._jobs.total_tokens = limits.jobs
        if limits.rules is not before.rules:
            for limiter in self._gpus.values():
                limiter.total_tokens = limits.rules.slots
        if limits.queues is not before.queues:
            for name, limiter in self._queues.items():
                limiter.total_tokens = limits.slots(name)
            for holder, tokens in self._holders.items():
                self._sort(holder, tokens)

    def take(self, holder: object, run: Run, *, is_direct: bool = False) -> str:
        """Take the tokens that a run needs, or none.

        Args:
            is_direct: the run needs no slot of its queue.

        Returns:
            the resource without a free token; empty if all tokens were taken.
        """
        tokens = _Tokens(run, [])
        of_queue, of_gpus = self._of_queue(run), self._of_gpus(run)
        if is_direct:
            _take_anyway(of_queue, holder, tokens)
            of_queue = {}
        for what, limiter in (of_queue | of_gpus).items():
            try:
                limiter.acquire_on_behalf_of_nowait(holder)
            except anyio.WouldBlock:
                self._release(holder, tokens)
                return what
            tokens.limiters.append(limiter)
        self._holders[holder] = tokens
        return ""

    def take_anyway(self, holder: object, run: Run) -> None:
        """Take the tokens of a run that is already running, even beyond the limit."""
        tokens = self._holders[holder] = _Tokens(run, [])
        _take_anyway(self._of_queue(run) | self._of_gpus(run), holder, tokens)

    def give_back(self, holder: object) -> None:
        """Give back all tokens of a holder; safe to call again."""
        tokens = self._holders.pop(holder, None)
        if tokens is not None:
            self._release(holder, tokens)

    def _of_queue(self, run: Run) -> dict[str, anyio.CapacityLimiter]:
        limiter = self._queues.get(run.queue)
        if limiter is None:
            limiter = self._queues[run.queue] = anyio.CapacityLimiter(self._limits.slots(run.queue))
        limiters = {f"queue {run.queue}": limiter}
        if run.queue not in self._limits.queues:
            limiters["jobs"] = self._jobs
        return limiters

    def _of_gpus(self, run: Run) -> dict[str, anyio.CapacityLimiter]:
        for gpu in run.gpus:
            if gpu.key not in self._gpus:
                self._gpus[gpu.key] = anyio.CapacityLimiter(self._limits.rules.slots)
        return {f"GPU {gpu.label}": self._gpus[gpu.key] for gpu in run.gpus}

    def _release(self, holder: object, tokens: _Tokens) -> None:
        for limiter in tokens.limiters:
            limiter.release_on_behalf_of(holder)
        # Each task without a queue has a queue of its own: their number is unbounded.
        if tokens.run.queue not in self._limits.queues and not self._queues[tokens.run.queue].borrowed_tokens:
            del self._queues[tokens.run.queue]

    def _sort(self, holder: object, tokens: _Tokens) -> None:
        """Count a holder among `jobs` exactly if its queue is not configured now."""
        is_of_jobs = tokens.run.queue not in self._limits.queues
        if is_of_jobs and self._jobs not in tokens.limiters:
            _take_anyway({"jobs": self._jobs}, holder, tokens)
        elif not is_of_jobs and self._jobs in tokens.limiters:
            self._jobs.release_on_behalf_of(holder)
            tokens.limiters.remove(self._jobs)


def _take_anyway(limiters: Mapping[str, anyio.CapacityLimiter], holder: object, tokens: _Tokens) -> None:
    """Take a token of each, beyond its total if necessary."""
    for limiter in limiters.values():
        total = limiter.total_tokens
        limiter.total_tokens = max(total, limiter.borrowed_tokens + 1)
        limiter.acquire_on_behalf_of_nowait(holder)
        limiter.total_tokens = total
        tokens.limiters.append(limiter)
