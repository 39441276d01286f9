"""What several commands say."""

from collections.abc import Sequence

import click

from aqueue.cli.output import say
from aqueue.client.session import awake_and_silent, config_or_default
from aqueue.folder.layout import Folder
from aqueue.model.config import Config
from aqueue.model.run import Run
from aqueue.model.task import Task
from aqueue.policy.gpu_supply import never
from aqueue.store.lifecycle import Store

_SHOWN = 5


def say_if_unserved(store: Store, where: Folder) -> None:
    """Tell a person whose run will have to wait for a server."""
    awake, silent = awake_and_silent(store, where, config_or_default(where).stale_after)
    if silent and not awake:
        say(f"server {silent[0].pid} gives no sign of life: it waits until one does", err=True)
    elif not awake:
        say("no server is up: it waits until `aqueue serve` starts one", err=True)
    elif all(server.leaving is not None for server in awake):
        say(f"server {awake[0].pid} is leaving: it waits until `aqueue serve` starts another", err=True)


def say_if_lacking(store: Store, config: Config, task: Task) -> None:
    """Warn a person whose run asks for GPUs that there are not, as far as a server has seen."""
    look = store.look() if task.demand else None
    if look is not None and task.demand is not None and (why := never(task.demand, look, config.gpus)):
        say_warning(f"{task.name} {why}")


def say_warning(text: str) -> None:
    """Tell a person what they may not have meant."""
    say(text, err=True, head=click.style("warning: ", fg="yellow"))


def say_what_hangs_on(count: int, dependents: Sequence[Run]) -> None:
    """Tell a person what was aborted together with `count` runs, because it came after them."""
    if dependents:
        say(f"{listed(dependents)} after {'it' if count == 1 else 'them'}: aborted with that", err=True)


def listed(runs: Sequence[Run]) -> str:
    """The runs, as the beginning of a sentence that goes on with `after`."""
    named = ", ".join(f"{run.id} {run.name}" for run in runs[:_SHOWN])
    more = f" and {len(runs) - _SHOWN} more" if len(runs) > _SHOWN else ""
    return f"run {named} comes" if len(runs) == 1 else f"runs {named}{more} come"
