"""The command of an attempt: its arguments and its environment."""

import errno
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from aqueue.folder.layout import Folder
from aqueue.formats.placeholders import fill_in, value_of
from aqueue.model.run import Run
from aqueue.model.task import Task, variable_of
from aqueue.model.values import plain_text

OWN_SHELL: Final = ""
"""A marker in place of a program: the wrapper runs the text that follows in a subshell."""

A_LIST: Final = "a list is one command, and its program and each argument are an item of their own"
"""The hint for a list whose program is a whole line, as if a list were several commands."""


def arguments(task: Task, variables: Mapping[str, str]) -> list[str]:
    """Return the arguments for `process.spawn` to run the task's command.

    Args:
        variables: the complete environment of the command.

    Raises:
        OSError: the program's name is empty after its placeholders are filled in.
        UnknownNameError: a word has a `${NAME}` that is neither a param nor a variable.
        ValueError: the task has a fault.
    """
    if task.fault is not None:
        raise ValueError(task.fault)
    if not isinstance(task.command, str):
        words = list(task.command)
        if not task.is_literal:
            params = _texts(task)
            words = [_filled_in(word, params, variables) for word in words]
        if not words[0]:
            raise OSError(errno.ENOENT, "the program's name is empty")
        return words
    # In a subshell, $$ would be the wrapper.
    if task.shell is None and "$$" not in task.command:
        return [OWN_SHELL, task.command, *task.arguments]
    shell = task.shell or "/bin/sh"
    return [shell, "-c", task.command, shell, *task.arguments]


def is_line(command: Sequence[str]) -> bool:
    """Return True for a list whose program has a blank in it, as a whole line of a shell has."""
    return bool(command) and any(character.isspace() for character in command[0].strip())


def environment(
    run: Run, base: Mapping[str, str], folder: Folder, directory: str, *, by_uuid: bool = False
) -> dict[str, str]:
    """Return the complete environment of a run's command.

    Python commands write their output at once, unless `PYTHONUNBUFFERED` is set otherwise in `base` or the task.
    Each entry of `env` may refer to params, to variables already in the environment, and to entries above it.

    Args:
        base: the environment of the server.
        directory: the directory in which the command runs.
        by_uuid: whether the command gets the UUIDs of its GPUs instead of indices.

    Raises:
        UnknownNameError: an entry has a `${NAME}` that is neither a param nor a variable.
    """
    task = run.task
    # Without it, Python keeps what is printed to a file for itself, and the log looks empty for minutes.
    variables = {"PYTHONUNBUFFERED": "1", **base}
    if task.isolate is not None:
        # Imported here: only these runs need it.
        from aqueue.isolation.checkout.git import REPOSITORY_VARIABLES

        for name in REPOSITORY_VARIABLES:
            variables.pop(name, None)
    variables["PWD"] = directory
    params = _texts(task)
    variables.update((variable_of(name), text) for name, text in params.items())
    own = _own_variables(run, folder) | _gpu_variables(run, by_uuid=by_uuid)
    variables.update(own)
    for name, text in task.base_env.items():
        variables[name] = _filled_in(text, params, variables)
    for name, text in task.env.items():
        variables[name] = text if task.is_literal else _filled_in(text, params, variables, task.env, name)
    variables.update(own)
    return variables


def _texts(task: Task) -> dict[str, str]:
    return {name: plain_text(value) for name, value in task.params.items()}


def _filled_in(
    text: str,
    params: Mapping[str, str],
    variables: Mapping[str, str],
    below: Mapping[str, str] = MappingProxyType({}),
    entry: str = "",
) -> str:
    return fill_in(text, lambda name: value_of(name, params, variables, below, entry))


def _own_variables(run: Run, folder: Folder) -> dict[str, str]:
    """Return the variables that describe the run."""
    variables = {
        "AQUEUE_RUN_ID": run.run_id,
        "AQUEUE_ID": str(run.id),
        "AQUEUE_NAME": run.name,
        "AQUEUE_QUEUE": run.queue,
        "AQUEUE_ATTEMPT": str(run.attempt),
        "AQUEUE_RUN_DIR": f"{folder.runs_text}/{run.id}",
    }
    if run.scheduled_for is not None:
        due = datetime.fromtimestamp(run.scheduled_for, UTC).isoformat(timespec="milliseconds")
        variables["AQUEUE_SCHEDULED_FOR"] = due.replace("+00:00", "Z")
    return variables


def _gpu_variables(run: Run, *, by_uuid: bool) -> dict[str, str]:
    """Return the variables that name the GPUs of a run; none if its task does not set `gpus`.

    They are indices by default, because programs such as vLLM read them as numbers. An instance of a partitioned
    GPU has no index that CUDA accepts.
    """
    if run.task.gpus is None:
        return {}
    gpus = ",".join(gpu.key if by_uuid or gpu.is_instance else gpu.label for gpu in run.gpus)
    return {
        "CUDA_VISIBLE_DEVICES": gpus,
        # aqueue numbers GPUs in this order; CUDA's default order is by speed.
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "NVIDIA_VISIBLE_DEVICES": gpus,
        "AQUEUE_GPUS": gpus,
    }
