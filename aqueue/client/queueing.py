"""The part of a client that queues runs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from aqueue.client import submit as submitting
from aqueue.client.control import Control
from aqueue.client.options import Options, RunLike, flag_of, invalid, number_of, seconds_of, wishes_of
from aqueue.client.params import params_of, plain_of
from aqueue.client.results import Runs
from aqueue.client.session import config_in_force, refuse_if_disabled, working_dir
from aqueue.errors import UsageError
from aqueue.model.run import Run
from aqueue.model.submission import Submission
from aqueue.model.task import Task
from aqueue.model.values import plain_text

if TYPE_CHECKING:
    from aqueue.model.config import Config


class Queueing(Control):
    """The methods of a client that queue runs."""

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
        timeout: float | str | None = None,
        hold: bool = False,
        tags: str | Iterable[str] = (),
        gpus: int | Sequence[int | str] | None = None,
        gpu_memory: int | str | None = None,
        after: RunLike | Iterable[RunLike] = (),
        after_any: bool = False,
        isolate: bool = False,
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
            timeout: in seconds, or as `1h30m`; 0: no limit.
            hold: do not start it before it is released.
            tags: each `key=value` or `key`.
            gpus: how many, or a list of indices and UUIDs; 0 hides all.
            gpu_memory: free memory each of them must have, in bytes or as `20GiB`.
            after: runs, or groups (`group:NAME`), that must succeed first.
            after_any: start it however those end.
            isolate: run it in a checkout of the code as it is now.

        >>> run = queue.add("echo $lr", name="train", params={"lr": 0.1})
        >>> run.name, str(run.state)
        ('train', 'queued')
        """
        given = params_of(params or {})
        if given.axes:
            several = next(iter(given.axes))
            raise UsageError(f"{several} has several values, but `add` queues a single run", "use `enqueue`")
        words, variables = _words(command), _variables(env or {})
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
        )
        wishes, seconds = wishes_of(options), seconds_of("timeout", timeout)
        is_held = flag_of("hold", hold)
        config = config_in_force(self._folder, self._warn)
        request = submitting.command(config, words, wishes, env=variables, timeout=seconds, hold=is_held)
        (run,) = self._submit(config, [[given.applied_to(request, [request])]])
        return run

    def enqueue(
        self,
        source: str | os.PathLike[str] | Task | Mapping[str, object],
        *,
        params: Mapping[str, object] | None = None,
        samples: int | None = None,
        seed: int | None = None,
        name: str | None = None,
        queue: str | None = None,
        group: str | None = None,
        priority: str | None = None,
        tags: str | Iterable[str] = (),
        gpus: int | Sequence[int | str] | None = None,
        gpu_memory: int | str | None = None,
        after: RunLike | Iterable[RunLike] = (),
        after_any: bool = False,
        isolate: bool = False,
    ) -> Runs:
        """Queue the runs of a task file, a `Task`, or a mapping with the keys of a task file; all or none.

        Options that are given replace what the source says; `tags` and `after` are added to it. Their values are
        those of `add`.

        Args:
            source: the path of a task file, a `Task`, or a mapping.
            params: replace those of the source; several values of one make a run for each combination.
            samples: pick this many combinations at random.
            seed: another number makes another pick.

        >>> runs = queue.enqueue({"name": "train", "command": "echo $lr"}, params={"lr": [0.1, 0.01]})
        >>> [(run.name, run.task.params) for run in runs]
        [('train-1', {'lr': 0.1}), ('train-2', {'lr': 0.01})]
        """
        from aqueue.client import named_files

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
        )
        wishes = wishes_of(options)
        given = params_of(params or {}, number_of("samples", samples, 1), number_of("seed", seed, 0))
        config, doubts = config_in_force(self._folder, self._warn), list[str]()
        if isinstance(source, Task):
            from aqueue.formats import given_tasks

            task = given_tasks.read(source, str(working_dir()))
            request = submitting.after_something(submitting.with_wishes(wishes)(Submission(task=task)))
            requests = [[given.applied_to(request, [request])]]
        elif isinstance(source, Mapping):
            requests, doubts = named_files.requests_of(config, source, wishes, given)
        elif isinstance(source, str | os.PathLike):
            requests, doubts = named_files.requests_in(self._folder, config, [os.fspath(source)], wishes, given)
        else:
            raise invalid("source", source, "the path of a task file, a Task, or a mapping")
        for doubt in doubts:
            self._warn(doubt)
        return self._submit(config, requests)

    def _submit(self, config: Config, requests: Sequence[Sequence[Submission]]) -> Runs:
        refuse_if_disabled(config)
        submitted = submitting.submit(self._folder, config, requests, self._warn)
        for doubt in submitted.doubts:
            self._warn(doubt)
        return self._of_ids(submitted.all_ids())


def _words(command: str | Sequence[object]) -> str | list[str]:
    """Return a command, the words of which are written as a task file's are.

    Raises:
        UsageError: it is empty, or no command.
    """
    if isinstance(command, str):
        words: str | list[str] = _text("command", command)
    elif isinstance(command, Sequence) and not isinstance(command, bytes | bytearray):
        words = [_text("command", os.fspath(word) if isinstance(word, os.PathLike) else word) for word in command]
    else:
        raise invalid("command", command, "a string, or a list of a program and its arguments")
    if not (words if isinstance(words, str) else "".join(words[:1])).strip():
        raise UsageError("the command is empty", "name a program: 'python train.py'")
    return words


def _variables(env: Mapping[str, object]) -> dict[str, str]:
    """Return variables, the values of which are written as a task file's are.

    Raises:
        UsageError: one of them cannot be one.
    """
    if not isinstance(env, Mapping):
        raise invalid("env", env, "a mapping of names and values")
    for variable in env:
        if not isinstance(variable, str):
            raise invalid("env", variable, "text as the name of a variable")
        submitting.check_variable(variable)
    return {variable: _text(f"env.{variable}", value) for variable, value in env.items()}


def _text(key: str, value: object) -> str:
    if value is None:
        raise invalid(key, value, "text, a number or a truth value")
    return plain_text(plain_of(key, value))
