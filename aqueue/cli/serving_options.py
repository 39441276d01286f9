"""The options that `serve` and `start` share."""

import functools
from collections.abc import Callable
from typing import Any, cast

import click

from aqueue.cli.completion import queue_option
from aqueue.cli.options import COUNT, GPUS_TYPE, IDLE_TIMEOUT, NAME_TYPE, F, refuse_both
from aqueue.client.serve_command import Serving
from aqueue.model.server import OnStop

_JOBS = "Run at most N tasks at a time, besides those of configured queues (default: 1)."


def serving_options(*, idle_timeout: str, quiet: str, verbose: str) -> Callable[[F], F]:
    """Return a decorator that gives a command the options of a server, as `serving`, `is_meant` and `quiet`.

    Args:
        idle_timeout: the default of `--idle-timeout`, in words.
        quiet, verbose: the help texts of `-q` and `-v`.
    """
    exit_when_idle = f"Exit after this long without work, such as 10s, or never (default: {idle_timeout})."
    options = (
        click.option("-j", "--jobs", type=COUNT, metavar="N", help=_JOBS),
        click.option("--idle-timeout", type=IDLE_TIMEOUT, help=exit_when_idle),
        click.option("--ignore-schedules", is_flag=True, help="Exit when idle even if there are schedules."),
        _queue_option,
        click.option("--gpus", type=GPUS_TYPE, metavar="LIST", help="Use only these GPUs, such as 0,1."),
        click.option("--yes", "is_meant", is_flag=True, help="Serve a directory that already contains files."),
        click.option("-q", "--quiet", is_flag=True, help=quiet),
        click.option("-v", "--verbose", is_flag=True, help=verbose),
    )

    def give(command: F) -> F:
        @functools.wraps(command)
        def with_serving(**given: Any) -> Any:
            refuse_both(given["quiet"], given["verbose"])
            serving = Serving(**{field: given.pop(field) for field in Serving._fields})
            return command(serving=serving, **given)

        with_options = with_serving
        for option in reversed(options):
            with_options = option(with_options)
        return cast("F", with_options)

    return give


def on_stop_option(default: str) -> Callable[[F], F]:
    """Return a decorator that gives a command the option `--on-stop`, as `on_stop`."""
    how = "wait for running tasks (drain), let them go on until the next server (leave), or stop them (kill)"
    return click.option(
        "--on-stop",
        type=click.Choice([*OnStop], case_sensitive=False),
        default=default,
        help=f"On SIGTERM, {how} (default: {default}).",
    )


def _split(ctx: click.Context, param: click.Parameter, written: tuple[str, ...]) -> tuple[str, ...] | None:
    """Return the names in all values of the option; None if it is not given."""
    names = [name.strip() for text in written for name in text.split(",")]
    return tuple(NAME_TYPE.convert(name, param, ctx) for name in names) or None


_queue_option = queue_option(
    "Serve only this queue; may be repeated.", name="queues", multiple=True, callback=_split
)
