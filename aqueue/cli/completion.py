"""Shell completion of queues, schedules, runs and groups."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aqueue.cli.context import find_folder
from aqueue.cli.options import F
from aqueue.client.selection import resolve_all
from aqueue.client.session import config_or_default, present, reading
from aqueue.folder.layout import Folder
from aqueue.model.run import Run, State
from aqueue.model.values import plain_text
from aqueue.store.store import Store

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    Items = list[CompletionItem[Any]]

T = TypeVar("T")

_MAX_RUNS = 200


def complete_queue(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's
    """Return the queues that begin with what was typed so far."""
    try:
        folder = _folder(ctx)
        with reading(folder) as store:
            queues = {name for name, _ in store.queues.counts()} | store.queues.paused()
        queues.update(config_or_default(folder).queues)
    except Exception:
        return []
    return sorted(queue for queue in queues if queue.startswith(incomplete))


def complete_schedule(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's
    """Return the schedules that begin with what was typed so far."""
    names = _read(ctx, lambda store: [stored.name for stored in store.schedules.all()])
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
    tags = _read(ctx, lambda store: store.runs.tags())
    keys = Counter(tag.partition("=")[0] for tag in tags)
    shared = [key for key, count in keys.items() if count > 1]
    return [tag for tag in sorted({*tags, *shared}) if tag.startswith(incomplete)]


def complete_column(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's
    """Return the columns, params and metrics of the latest runs that begin with what was typed after a comma."""
    # Imported here: only completion needs it.
    from aqueue.client.columns import MORE_FACTS, columns_of

    before, comma, begun = incomplete.rpartition(",")
    keys = _read(ctx, lambda store: [*columns_of(_latest(store), present(store)), *MORE_FACTS])
    left = [key for key in keys if key not in before.split(",")]
    return [f"{before}{comma}{key}" for key in left if key.startswith(begun)]


def complete_param(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's
    """Return the params of the named runs, each with its value, that begin with what was typed so far."""
    # An option without its value keeps click from assigning the arguments.
    runs = _read(ctx, lambda store: resolve_all(store, ctx.params.get("runs") or ctx.args))
    words = {name: f"{name}={plain_text(value)}" for run in runs for name, value in run.task.params.items()}
    return [word for word in words.values() if word.startswith(incomplete)]


def params_of_files(ctx: click.Context, files: Sequence[str]) -> dict[str, str]:
    """Return the params of task files, each with its value if it has one; none if a file has mistakes."""
    # Imported here: only completion needs it.
    from aqueue.client import named_files
    from aqueue.formats.names import params_of

    try:
        folder = _folder(ctx)
        contents = named_files.parse(folder, config_or_default(folder), files, name=None, working_dir=".")
    except Exception:
        return {}
    requests = [request for content in contents for request in content.submissions]
    values = {name: plain_text(value) for request in requests for name, value in request.task.params.items()}
    return {name: f"{name}={values.get(name, '')}" for request in requests for name in params_of(request)}


def complete_group(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's
    """Return the groups that begin with what was typed so far."""
    groups = _read(ctx, lambda store: store.runs.groups())
    return [group for group in groups if group.startswith(incomplete)]


def complete_target(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001 - click's
    """Return the targets of notifications that begin with what was typed so far."""
    try:
        targets = config_or_default(_folder(ctx)).notify
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


def column_option(*names: str, metavar: str = "KEY", **attributes: Any) -> Callable[[F], F]:
    """Return a decorator that gives a command an option whose value is the key of a column, or several."""
    return click.option(*names, metavar=metavar, shell_complete=complete_column, **attributes)


def given_params_option(text: str) -> Callable[[F], F]:
    """Return a decorator that gives a command the option `--param`, which may be repeated, as `params`."""

    def check(ctx: click.Context, param: click.Parameter, written: tuple[str, ...]) -> tuple[str, ...]:  # noqa: ARG001 - click's
        for word in written:
            if "=" not in word:
                raise click.UsageError(f"--param {word}: expected K=V")
        return written

    return click.option(
        "--param",
        "params",
        metavar="K=V",
        multiple=True,
        callback=check,
        shell_complete=complete_param,
        help=f"{text}; may be repeated.",
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

    runs = _read(ctx, lambda store: _latest(store, states))
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


def _latest(store: Store, states: Sequence[State] = ()) -> list[Run]:
    return store.runs.select(states=states, limit=_MAX_RUNS, newest_first=True)


def _read(ctx: click.Context, ask: Callable[[Store], list[T]]) -> list[T]:
    """Return what a question to the store finds; nothing if it fails: a completion prints no errors."""
    try:
        with reading(_folder(ctx)) as store:
            return ask(store)
    except Exception:
        return []


def _folder(ctx: click.Context) -> Folder:
    """Return the folder that the words typed so far name; their `--dir` may stand before the command, too."""
    return find_folder(ctx.params.get("directory") or ctx.find_root().params.get("directory"))
