"""What a command is, to the last variable of its environment."""

import errno
import re
from collections.abc import Mapping
from datetime import UTC, datetime

from aqueue import wrapper
from aqueue.folder import Folder
from aqueue.models import Run, Task
from aqueue.values import plain_text

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

OWN_VARIABLES = (
    "AQUEUE_RUN_ID",
    "AQUEUE_ID",
    "AQUEUE_NAME",
    "AQUEUE_QUEUE",
    "AQUEUE_ATTEMPT",
    "AQUEUE_RUN_DIR",
    "AQUEUE_SCHEDULED_FOR",
    "AQUEUE_GPUS",
)
"""What a command knows about its run; a server that is itself a run must not hand its own on."""


def arguments(task: Task) -> list[str]:
    """What `process.spawn` takes to run the task's command.

    Raises:
        OSError: the program's name is empty, now that the params are filled in.
    """
    if not isinstance(task.command, str):
        words = [fill_in(word, task) for word in task.command]
        if not words[0]:
            raise OSError(errno.ENOENT, "the program's name is empty")
        return words
    # In a subshell, $$ would be the wrapper.
    if task.shell is None and "$$" not in task.command:
        return [wrapper.OWN_SHELL, task.command, *task.arguments]
    shell = task.shell or "/bin/sh"
    return [shell, "-c", task.command, shell, *task.arguments]


def environment(run: Run, base: Mapping[str, str], folder: Folder) -> dict[str, str]:
    """The environment of a run's command, whole."""
    task = run.task
    variables = dict(base)
    if task.isolate is not None:
        # Imported here: it is for those runs alone.
        from aqueue.checkout import OF_A_REPOSITORY

        for name in OF_A_REPOSITORY:
            variables.pop(name, None)
    variables.update((key, plain_text(value)) for key, value in task.params.items())
    variables.update((key, fill_in(value, task)) for key, value in task.env.items())
    variables["AQUEUE_RUN_ID"] = run.run_id
    variables["AQUEUE_ID"] = str(run.id)
    variables["AQUEUE_NAME"] = run.name
    variables["AQUEUE_QUEUE"] = run.queue
    variables["AQUEUE_ATTEMPT"] = str(run.attempt)
    if run.scheduled_for is not None:
        due = datetime.fromtimestamp(run.scheduled_for, UTC).isoformat(timespec="milliseconds")
        variables["AQUEUE_SCHEDULED_FOR"] = due.replace("+00:00", "Z")
    variables["AQUEUE_RUN_DIR"] = f"{folder.runs_text}/{run.id}"
    return variables


def card_variables(run: Run, *, by_uuid: bool) -> dict[str, str]:
    """What tells a command which GPUs are its own; nothing if its task does not say anything about GPUs.

    Indices unless UUIDs are wanted, since programs such as vLLM read them as numbers. An instance of a partitioned
    GPU has no index by which CUDA would find it.
    """
    if run.task.gpus is None:
        return {}
    cards = ",".join(card.key if by_uuid or card.is_instance else card.label for card in run.cards)
    return {
        "CUDA_VISIBLE_DEVICES": cards,
        # The order in which cards are numbered here; CUDA's own default is by speed.
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "NVIDIA_VISIBLE_DEVICES": cards,
        "AQUEUE_GPUS": cards,
    }


def fill_in(text: str, task: Task) -> str:
    """Replace `${param}` by the param's value; what is none of the task's params stays as it is."""
    if "${" not in text:
        return text
    return _PLACEHOLDER.sub(
        lambda match: plain_text(task.params[match[1]]) if match[1] in task.params else match[0], text
    )
