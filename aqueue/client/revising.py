"""The part of a client that changes what waiting runs are to do, and sends text to running ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from aqueue.client.control import Control
from aqueue.client.options import (
    Options,
    RunLike,
    flag_of,
    invalid,
    seconds_of,
    selection_of,
    wishes_of,
    with_known_options,
    written,
)
from aqueue.client.results import Runs
from aqueue.client.variables import variables_of


class Revising(Control):
    """The methods of a client that change what waiting runs are to do, or send text to running ones."""

    def send(self, run: RunLike, text: str | bytes = "", *, eof: bool = False) -> None:
        """Send text to the standard input of a running run whose task has `stdin: open`. It is sent as it is.

        Args:
            text: a line ends with a newline.
            eof: end the input after that.

        Raises:
            RunError: it does not run, its input is not open, or its command does not read.
        """
        from aqueue.client.sending import send

        if not isinstance(text, str | bytes):
            raise invalid("text", text, "text or bytes")
        content = text.encode() if isinstance(text, str) else text
        send(self._folder, written(run, "run"), content, ends=flag_of("eof", eof))

    @with_known_options
    def move(
        self,
        runs: RunLike | Iterable[RunLike] = (),
        *,
        group: str | None = None,
        first: bool = False,
        last: bool = False,
        before: RunLike | None = None,
        after: RunLike | None = None,
    ) -> Runs:
        """Move queued or held runs in line, in the given order; return them as they are now.

        High priority still goes before low.

        Args:
            group: also move the runs of this group that wait.
            first: before all others.
            last: after all others that wait now.
            before: right before this run.
            after: right after this run.

        Raises:
            RunError: one of the runs, or the other, has started, or is over; nothing is changed.

        >>> one, two = queue.add("true"), queue.add("true")
        >>> queue.move(two, before=one)[0].turn < one.turn
        True
        """
        from aqueue.client.moving import Where, move

        where = Where(
            flag_of("first", first),
            flag_of("last", last),
            None if before is None else written(before, "before"),
            None if after is None else written(after, "after"),
        )
        return self._now(move(self._folder, selection_of(runs, group), where))

    @with_known_options
    def edit(
        self,
        runs: RunLike | Iterable[RunLike] = (),
        *,
        group: str | None = None,
        name: str | None = None,
        queue: str | None = None,
        priority: str | None = None,
        params: Mapping[str, object] | None = None,
        new: Mapping[str, object] | None = None,
        env: Mapping[str, object] | None = None,
        timeout: float | str | None = None,
        tags: str | Iterable[str] | None = None,
        gpus: int | Sequence[int | str] | None = None,
        gpu_memory: int | str | None = None,
        after: RunLike | Iterable[RunLike] | None = None,
        after_any: bool = False,
        notify: str | Iterable[str] = (),
    ) -> Runs:
        """Change what queued or held runs are to do; return them as they are now. What is None stays as it is.

        Args:
            group: also change the runs of this group that wait.
            name: for a single run.
            params: other values of params that the runs have.
            new: params that they do not have.
            env: further environment variables.
            timeout: in seconds, or as `1h30m`; 0: no limit.
            tags: in place of those before.
            after: runs, or groups (`group:NAME`), to come after, in place of those before.
            notify: events such as `failed`, and targets in aqueue.yaml, or `never`.

        Raises:
            RunError: one of the runs has started, or is over; nothing is changed.

        >>> run = queue.add("echo $lr", params={"lr": 0.1})
        >>> queue.edit(run, priority="high", params={"lr": 0.2})[0].task.params
        {'lr': 0.2}
        """
        from aqueue.client import editing
        from aqueue.client.params import params_of

        options = Options(
            name=name,
            queue=queue,
            group=None,
            priority=priority,
            tags=tags or (),
            gpus=gpus,
            gpu_memory=gpu_memory,
            after=after or (),
            after_any=after_any,
            isolate=False,
            notify=notify,
        )
        wishes = wishes_of(options)
        wishes["timeout"] = seconds_of("timeout", timeout)
        changes = editing.Changes(
            wishes,
            tags=None if tags is None else wishes.get("tags"),
            env=variables_of(env or {}),
            params=params_of(params or {}, new=new) if params or new else None,
            after=None if after is None else wishes.get("after"),
            after_any=wishes.get("after_any", False),
        )
        edited = editing.edit(self._folder, selection_of(runs, group), changes, self._warn)
        return self._now([one.run for one in edited])
