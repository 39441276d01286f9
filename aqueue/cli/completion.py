"""Shell completion of queues, schedules, runs and groups."""

from collections.abc import Callable
from typing import Any

import click

from aqueue.cli.context import find_folder
from aqueue.cli.options import F
from aqueue.client.session import config_or_default, reading


def complete_queue(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's
    """Return the queues that begin with what was typed so far."""
    try:
        folder = find_folder(ctx.params.get("directory"))
        with reading(folder) as store:
            queues = {name for name, _ in store.queues.counts()} | store.queues.paused()
        queues.update(config_or_default(folder).queues)
    except Exception:
        return []
    return sorted(queue for queue in queues if queue.startswith(incomplete))


def complete_schedule(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's
    """Return the schedules that begin with what was typed so far."""
    try:
        with reading(find_folder(ctx.params.get("directory"))) as store:
            names = [stored.name for stored in store.schedules.all()]
    except Exception:
        return []
    return [name for name in names if name.startswith(incomplete)]


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's
    """Return the ids of the latest runs that begin with what was typed so far."""
    try:
        with reading(find_folder(ctx.params.get("directory"))) as store:
            runs = store.runs.select(limit=200, newest_first=True)
    except Exception:
        return []
    ids = [str(run.id) for run in runs] + [f"{run.name}:{run.run_id}" for run in runs]
    return [text for text in ids if text.startswith(incomplete)]


def complete_group(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's
    """Return the groups that begin with what was typed so far."""
    try:
        with reading(find_folder(ctx.params.get("directory"))) as store:
            groups = store.runs.groups()
    except Exception:
        return []
    return [group for group in groups if group.startswith(incomplete)]


def queue_option(text: str, **attributes: Any) -> Callable[[F], F]:
    """Return a decorator that gives a command the option `-u`, as `queue` unless an attribute says otherwise.

    Args:
        attributes: further ones of the option.
    """
    name = attributes.pop("name", "queue")
    return click.option(
        "-u", "--queue", name, metavar="NAME", shell_complete=complete_queue, help=text, **attributes
    )


def group_option(text: str) -> Callable[[F], F]:
    """Return a decorator that gives a command the option `--group`, as `group`, with a help text."""
    return click.option("--group", metavar="NAME", shell_complete=complete_group, help=text)
