"""The part of a client that queues runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from aqueue.client import submit as submitting
from aqueue.client.options import (
    Options,
    RunLike,
    directory_of,
    flag_of,
    invalid,
    name_of,
    number_of,
    path_of,
    seconds_of,
    texts_of,
    trigger_of,
    wishes_of,
    with_known_options,
)
from aqueue.client.params import params_of
from aqueue.client.results import Runs
from aqueue.client.revising import Revising
from aqueue.client.variables import text_of_value, variables_of
from aqueue.client.wishes import Wishes
from aqueue.errors import UsageError
from aqueue.model.run import Run
from aqueue.model.task import Task

Source: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Task | Mapping[str, object]
"""The sources of runs: task files, a task, or a mapping with the keys of a task file."""


class Queueing(Revising):
    """The methods of a client that queue runs."""

    @with_known_options
    def add(
        self,
        command: str | Sequence[object],
        *,
        name: str | None = None,
        queue: str | None = None,
        group: str | None = None,
        priority: str | None = None,
        params: Mapping[str, object] | None = None,
        env: Mapping[str, object] | None = None,
        working_dir: str | os.PathLike[str] | None = None,
        timeout: float | str | None = None,
        retries: int | None = None,
        outputs: str | Iterable[str] = (),
        hold: bool = False,
        tags: str | Iterable[str] = (),
        gpus: int | Sequence[int | str] | None = None,
        gpu_memory: int | str | None = None,
        after: RunLike | Iterable[RunLike] = (),
        after_any: bool = False,
        isolate: bool = False,
        notify: str | Iterable[str] = (),
        stdin: bool = False,
    ) -> Run:
        """Queue one run of a command in the current directory, and return the run.

        Args:
            command: a string for /bin/sh, or a program and its arguments.
            name: of the task; default: made from the command.
            queue: default: one named after the task.
            group: a name that runs have in common.
            priority: `high` or `low`.
            params: passed to the command as environment variables.
            env: more environment variables.
            working_dir: default: the current directory.
            timeout: in seconds, or as `1h30m`; 0: no limit.
            retries: how often a failed run is tried again; default: as configured.
            outputs: paths that are copied to the run's folder when it ends.
            hold: do not start it before it is released.
            tags: each `key=value` or `key`.
            gpus: how many, or a list of indices and UUIDs; 0 hides all.
            gpu_memory: free memory each of them must have, in bytes or as `20GiB`.
            after: runs, or groups (`group:NAME`), that must succeed first.
            after_any: start it however those end.
            isolate: run it in a checkout of the code as it is now.
            notify: events such as `failed`, and targets in aqueue.yaml, or `never`; default: as configured.
            stdin: keep its standard input open for `send`.

        >>> run = queue.add("echo $lr", name="train", params={"lr": 0.1})
        >>> run.name, str(run.state)
        ('train', 'queued')
        """
        given, words = params_of(params or {}), _words(command)
        options = Options(
            name=name,
            queue=queue,
            group=group,
            priority=priority,
            tags=tags,
            gpus=gpus,
            gpu_memory=gpu_memory,
            after=after,
            after_any=after_any,
            isolate=isolate,
            notify=notify,
        )
        wishes = wishes_of(options) | _more_wishes(env, timeout, hold=hold, working_dir=working_dir)
        wishes["retries"] = number_of("retries", retries, 0)
        wishes["outputs"] = texts_of("outputs", outputs, "paths within the working directory")
        wishes["stdin"] = flag_of("stdin", stdin)
        submitted = submitting.add(self._folder, words, wishes, self._warn, given)
        (run,) = self._runs_of(submitted)
        return run

    @with_known_options
    def enqueue(
        self,
        source: Source,
        *,
        params: Mapping[str, object] | None = None,
        new: Mapping[str, object] | None = None,
        arguments: Sequence[object] = (),
        samples: int | None = None,
        seed: int | None = None,
        name: str | None = None,
        queue: str | None = None,
        group: str | None = None,
        priority: str | None = None,
        env: Mapping[str, object] | None = None,
        working_dir: str | os.PathLike[str] | None = None,
        timeout: float | str | None = None,
        hold: bool = False,
        tags: str | Iterable[str] = (),
        gpus: int | Sequence[int | str] | None = None,
        gpu_memory: int | str | None = None,
        after: RunLike | Iterable[RunLike] = (),
        after_any: bool = False,
        isolate: bool = False,
        notify: str | Iterable[str] = (),
        run_id: str | None = None,
        default_working_dir: str | os.PathLike[str] = ".",
        trigger: str = "manual",
    ) -> Runs:
        """Queue the runs of task files, a `Task`, or a mapping with the keys of a task file; all or none.

        Options that are given replace what the source says; `tags`, `env` and `after` are added to it. Their
        values are those of `add`.

        Args:
            source: the path of a task file or a list of several, a `Task`, or a mapping.
            params: replace those of the source; several values of one make a run for each combination.
            new: params that the source does not have.
            arguments: positional params: `$1`, `$2` … of a shell command.
            samples: pick this many combinations at random.
            seed: another number makes another pick.
            run_id: of the only run.
            default_working_dir: the working directory of tasks that do not set one.
            trigger: recorded as the trigger of the runs, such as `webhook`.

        >>> runs = queue.enqueue({"name": "train", "command": "echo $lr"}, params={"lr": [0.1, 0.01]})
        >>> [(run.name, run.task.params) for run in runs]
        [('train-1', {'lr': 0.1}), ('train-2', {'lr': 0.01})]
        """
        from aqueue.client.enqueue import enqueue

        options = Options(
            name=name,
            queue=queue,
            group=group,
            priority=priority,
            tags=tags,
            gpus=gpus,
            gpu_memory=gpu_memory,
            after=after,
            after_any=after_any,
            isolate=isolate,
            notify=notify,
        )
        wishes = wishes_of(options) | _more_wishes(env, timeout, hold=hold, working_dir=working_dir)
        given = params_of(
            params or {},
            number_of("samples", samples, 1),
            number_of("seed", seed, 0),
            new=new,
            arguments=[text_of_value("arguments", value) for value in arguments],
        )
        submitted = enqueue(
            self._folder,
            _source(source),
            wishes,
            given,
            self._warn,
            trigger=trigger_of(trigger),
            run_id=name_of("run_id", run_id),
            default_dir=directory_of("default_working_dir", default_working_dir),
        )
        return self._runs_of(submitted)

    def _runs_of(self, submitted: submitting.Submitted) -> Runs:
        for doubt in submitted.doubts:
            self._warn(doubt)
        return self._of_ids(submitted.all_ids())


def _more_wishes(
    env: Mapping[str, object] | None,
    timeout: float | str | None,
    *,
    hold: bool,
    working_dir: str | os.PathLike[str] | None,
) -> Wishes:
    """Check the options that only methods which queue runs have.

    Raises:
        UsageError: one of them is not valid.
    """
    return Wishes(
        env=variables_of(env or {}),
        timeout=seconds_of("timeout", timeout),
        hold=flag_of("hold", hold),
        working_dir=None if working_dir is None else path_of("working_dir", working_dir),
    )


def _source(source: Source) -> Sequence[str] | Mapping[str, object] | Task:
    """Return what is to be queued, with files as a list of their paths.

    Raises:
        UsageError: it is nothing that can be queued.
    """
    if isinstance(source, Task | Mapping):
        return source
    if isinstance(source, str | os.PathLike):
        return [path_of("source", source)]
    if isinstance(source, Sequence) and source and not isinstance(source, bytes):
        return [path_of("source", file) for file in source]
    raise invalid("source", source, "the path of a task file, a list of such paths, a Task, or a mapping")


def _words(command: str | Sequence[object]) -> str | list[str]:
    """Return a command, the words of which are written as a task file's are.

    Raises:
        UsageError: it is empty, or no command.
    """
    if isinstance(command, str):
        words: str | list[str] = text_of_value("command", command)
    elif isinstance(command, Sequence) and not isinstance(command, bytes | bytearray):
        words = [
            text_of_value("command", os.fspath(word) if isinstance(word, os.PathLike) else word)
            for word in command
        ]
    else:
        raise invalid("command", command, "a string, or a list of a program and its arguments")
    if not (words if isinstance(words, str) else "".join(words[:1])).strip():
        raise UsageError("the command is empty", "name a program: 'python train.py'")
    return words
