"""Shell completion of queues, schedules, runs and groups."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from aqueue.cli.context import find_folder
from aqueue.cli.options import F
from aqueue.client.session import config_or_default, reading
from aqueue.model.run import State

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    Items = list[CompletionItem[Any]]

_MAX_RUNS = 200


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


def complete_run(ctx: click.Context, param: click.Parameter, incomplete: str) -> "Items":  # noqa: ARG001 - click's
    """Return the latest runs that begin with what was typed so far."""
    return _runs(ctx, incomplete, ())


def complete_run_in(
    *states: State,
) -> Callable[[click.Context, click.Parameter, str], "Items"]:
    """Return a completion of the latest runs in some states; none: in any state."""
    return lambda ctx, _, incomplete: _runs(ctx, incomplete, states)


def complete_tag(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's
    """Return the tags that begin with what was typed so far, and the keys of several tags."""
    try:
        with reading(find_folder(ctx.params.get("directory"))) as store:
            tags = store.runs.tags()
    except Exception:
        return []
    keys = Counter(tag.partition("=")[0] for tag in tags)
    shared = [key for key, count in keys.items() if count > 1]
    return [tag for tag in sorted({*tags, *shared}) if tag.startswith(incomplete)]


def complete_group(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's
    """Return the groups that begin with what was typed so far."""
    try:
        with reading(find_folder(ctx.params.get("directory"))) as store:
            groups = store.runs.groups()
    except Exception:
        return []
    return [group for group in groups if group.startswith(incomplete)]


def complete_target(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's
    """Return the targets of notifications that begin with what was typed so far."""
    try:
        targets = config_or_default(find_folder(ctx.params.get("directory"))).notify
    except Exception:
        return []
    return [target.name for target in targets if target.name.startswith(incomplete)]


def queue_option(text: str, **attributes: Any) -> Callable[[F], F]:
    """Return a decorator that gives a command the option `-u`, as `queue` unless an attribute says otherwise.

    Args:
        attributes: further ones of the option.
    """
    name = attributes.pop("name", "queue")
    return click.option(
        "-u", "--queue", name, metavar="NAME", shell_complete=complete_queue, help=text, **attributes
    )


def tag_option(text: str) -> Callable[[F], F]:
    """Return a decorator that gives a command the option `--tag`, as `tag`, with a help text."""
    return click.option("--tag", metavar="TAG", shell_complete=complete_tag, help=text)


def group_option(text: str) -> Callable[[F], F]:
    """Return a decorator that gives a command the option `--group`, as `group`, with a help text."""
    return click.option("--group", metavar="NAME", shell_complete=complete_group, help=text)


def _runs(ctx: click.Context, incomplete: str, states: Sequence[State]) -> "Items":
    """Return the latest runs that fit, each once: by id, or by name if a name was begun."""
    # Imported here: only completion needs it.
    from click.shell_completion import CompletionItem

    try:
        with reading(find_folder(ctx.params.get("directory"))) as store:
            runs = store.runs.select(states=states, limit=_MAX_RUNS, newest_first=True)
    except Exception:
        return []
    named = set(ctx.params.get("runs") or ())
    names = Counter(run.name for run in runs)
    found = []
    for run in runs:
        in_full = f"{run.name}:{run.run_id}"
        by_name = run.name if names[run.name] == 1 and ":" not in incomplete else in_full
        word = next((text for text in (str(run.id), by_name) if text.startswith(incomplete)), None)
        if word is not None and named.isdisjoint((str(run.id), run.name, in_full)):
            found.append(CompletionItem(word, help=f"{run.id} {run.name}, {run.state}"))
    return found


def notify_option(text: str) -> Callable[[F], F]:
    """Return a decorator that gives a command the option `--notify`, as `notify`, with a help text."""

    def split(ctx: click.Context, param: click.Parameter, written: tuple[str, ...]) -> tuple[str, ...]:  # noqa: ARG001 - click's
        words = tuple(word.strip() for text in written for word in text.split(","))
        if not all(words):
            raise click.BadParameter("it is empty: name a target or an event, or leave the option out")
        return words

    return click.option(
        "--notify",
        multiple=True,
        metavar="TARGET|EVENT",
        callback=split,
        shell_complete=complete_target,
        help=text,
    )
