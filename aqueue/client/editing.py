"""Editing runs that wait: all that are selected, or none."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from aqueue.client.actions import nothing_changed
from aqueue.client.prospects import lacking, unserved
from aqueue.client.selection import Selection, selected
from aqueue.client.session import Warn, changing, config_or_default, now, reading, refuse_if_disabled
from aqueue.client.submit import without_directory
from aqueue.client.wishes import Wishes, after_something, fields_of, gpus_of, notify_of
from aqueue.errors import RunError, UsageError
from aqueue.folder.layout import Folder
from aqueue.formats.notify_words import check_names
from aqueue.model.config import Config
from aqueue.model.run import ENDED, Run, State
from aqueue.model.submission import Submission
from aqueue.model.task import Task
from aqueue.model.values import plain_text
from aqueue.store.lifecycle import require
from aqueue.store.store import Store

if TYPE_CHECKING:
    from aqueue.client.params import Params

EDITABLE: Final = (State.QUEUED, State.HELD)
"""The states that runs are edited in."""


class Changes(NamedTuple):
    """The changes of runs; what is None stays as it is.

    Attributes:
        wishes: names, priority, GPUs, timeout and whom to tell.
        tags: all tags.
        env: further environment variables.
        params: other values of params, and new params.
        after: all runs and groups that they come after.
        after_any: start however those end.
    """

    wishes: Wishes
    tags: Sequence[str] | None = None
    env: Mapping[str, str] = {}
    params: "Params | None" = None
    after: Sequence[str] | None = None
    after_any: bool = False

    @property
    def is_empty(self) -> bool:
        """Return True if nothing is to be changed."""
        wishes = [value for key, value in self.wishes.items() if value is not None and (value or key != "notify")]
        return not wishes and self._replace(wishes=Wishes()) == Changes(Wishes())


class Edited(NamedTuple):
    """A run that was edited.

    Attributes:
        run: the run as it was.
        differences: its changes in words; none if it was so already.
        doubts: what a person may not have meant.
        unserved: why it waits for a server, if it was retried; None if one is up.
    """

    run: Run
    differences: list[str]
    doubts: list[str]
    unserved: str | None = None


class Draft(NamedTuple):
    """A run as a person is to edit it.

    Attributes:
        request: what it is to do.
        is_retry: whether it has ended, and is queued again.
        text: the same as text.
    """

    run: Run
    request: Submission
    is_retry: bool
    text: str


def edit(folder: Folder, selection: Selection, changes: Changes, warn: Warn) -> list[Edited]:
    """Change what runs are to do.

    Raises:
        RunError: a run does not exist, or does not wait any more.
        UsageError: a run cannot have these changes.
    """
    config = config_or_default(folder, warn)
    if notify := notify_of(changes.wishes):
        check_names(notify, [target.name for target in config.notify])
    with reading(folder) as store:
        chosen = selected(store, folder, selection, EDITABLE)
    if changes.wishes.get("name") and len(chosen) > 1:
        raise UsageError(f"--name: {len(chosen)} runs would have the same name", "name a single run")
    with _all_or_none(chosen):
        # Before the transaction, during which nothing else is written.
        made = [_changed(run, changes) for run in chosen]
    with changing(folder) as store, _all_or_none(chosen):
        edited = []
        for run, task in zip(chosen, made, strict=True):
            current = store.runs.get(run.id) or run
            if current.state not in EDITABLE and not selection.is_by_name:
                continue
            task = task if current.task == run.task else _changed(current, changes)
            edited.append(_edit(store, config, current, task, changes))
        return edited


def draft(folder: Folder, written: str, *, is_retry: bool = False) -> Draft:
    """Return a run for an editor.

    Args:
        is_retry: whether it is to have ended, and is to be queued again.

    Raises:
        RunError: it does not exist, or is in no state for that.
    """
    # Imported here: most edits are made with options.
    from aqueue.formats import run_text

    with reading(folder) as store:
        run = store.runs.resolve(written)
        if is_retry:
            require(run, "retried", *sorted(ENDED))
        else:
            store.edits.require(run)
        request = _request(store, run)
    return Draft(run, request, is_retry, run_text.as_text(request))


def save(folder: Folder, draft: Draft, text: str, file: str, warn: Warn) -> Edited:
    """Change a run as its edited text says.

    Args:
        file: the name of the text in errors.

    Raises:
        FileError: the text has mistakes.
        RunError: the run does not wait any more, or was changed meanwhile.
        QueueError: it is to be retried, and queues are disabled.
    """
    from aqueue.formats import run_text

    config = config_or_default(folder, warn)
    if draft.is_retry:
        refuse_if_disabled(config)
    targets = [target.name for target in config.notify]
    request = run_text.parse(text, file, draft.run.task, targets)
    with changing(folder) as store:
        run = store.runs.get(draft.run.id)
        if run is None:
            raise RunError(f"run {draft.run.id} no longer exists: it was dequeued or pruned")
        if draft.is_retry:
            store.lifecycle.retry([run])
        else:
            store.edits.require(run)
        if _request(store, run) != draft.request:
            raise RunError(f"run {run.id} was changed while you edited it", "edit it again")
        waiting = store.runs.get(run.id) or run
        store.edits.change(waiting, request.task, is_held=request.task.hold)
        if (request.after, request.after_any) != (draft.request.after, draft.request.after_any):
            store.edits.come_after(waiting, request.after, now(), after_any=request.after_any)
        differences = run_text.differences(draft.request, request)
        waits_for_server = unserved(store, folder) if draft.is_retry else None
        return Edited(run, differences, _doubts(store, config, request), waits_for_server)


def _request(store: Store, run: Run) -> Submission:
    """Return what a run is to do, as its text says it: held if the run is."""
    request = store.edits.request_of(run)
    task = msgspec.structs.replace(run.task, hold=run.state is State.HELD)
    return msgspec.structs.replace(request, task=task)


def _edit(store: Store, config: Config, run: Run, task: Task, changes: Changes) -> Edited:
    from aqueue.formats import run_text

    store.edits.change(run, task, is_held=run.state is State.HELD)
    before, request = Submission(task=run.task), Submission(task=task)
    if changes.after is not None or changes.after_any:
        before = store.edits.request_of(run)
        after = before.after if changes.after is None else tuple(changes.after)
        request = after_something(msgspec.structs.replace(request, after=after, after_any=changes.after_any))
        store.edits.come_after(run, after, now(), after_any=changes.after_any)
    return Edited(run, run_text.differences(before, request), _doubts(store, config, request))


def _changed(run: Run, changes: Changes) -> Task:
    """Return the task of a run with changes, checked as that of a file is.

    Raises:
        RunError: it cannot be read.
        UsageError: the task cannot have these changes.
    """
    from aqueue.formats import given_tasks, run_text

    task, wishes = run.task, changes.wishes
    if task.fault is not None:
        raise RunError(f"run {run.id} cannot be edited: {task.fault}", "queue it anew")
    fields = fields_of(wishes) | gpus_of(wishes, task)
    if changes.tags is not None:
        fields["tags"] = tuple(changes.tags)
    if changes.params is not None:
        fields["params"] = {**task.params, **_params(run, changes.params)}
    changed = msgspec.structs.replace(task, env={**task.env, **changes.env}, **fields)
    return run_text.with_unwritten(given_tasks.read(changed, task.working_dir), task)


def _params(run: Run, given: "Params") -> Mapping[str, Any]:
    """Return the given values of params, all of which the run has, or which are said to be new.

    Raises:
        UsageError: one has several values, or is not a param of the run.
    """
    from aqueue.near_names import nearest

    known = run.task.params
    for name in given.axes:
        raise UsageError(f"{name} has several values, but a run has one", "give one, or use `aqueue enqueue`")
    for name, value in given.named.items():
        if name in given.new and name in known:
            raise UsageError(f"--new {name}: run {run.id} has this param already", f"give it as --param {name}=…")
        if known and name not in known and name not in given.new:
            near = nearest(name, [*known])
            meant = f"did you mean {near}? To" if near else "to"
            hint = f"{meant} add it anyway: --new {name}={plain_text(value)}"
            raise UsageError(f"run {run.id} has no param {name}", hint)
    return given.named


def _doubts(store: Store, config: Config, request: Submission) -> list[str]:
    doubts = lacking(store, config, request.task), without_directory(request)
    return [doubt for doubt in doubts if doubt is not None]


@contextmanager
def _all_or_none(runs: Sequence[Run]) -> Iterator[None]:
    """Add to an error about one of several runs that nothing was changed."""
    try:
        yield
    except (RunError, UsageError) as error:
        raise nothing_changed(error, runs) from None
