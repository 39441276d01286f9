"""Options that several commands share, and the types of their values."""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

from aqueue import units
from aqueue.errors import UsageError
from aqueue.model.basics import MAX_NAME, is_name, parse_tags
from aqueue.model.gpu import MAX_GPUS, GpuId, check_ids
from aqueue.units import SIZE, parse_size

_MAX_COUNT = 2**31 - 1

F = TypeVar("F", bound=Callable[..., Any])


class _Whole(click.ParamType[int]):
    name = "number"

    def __init__(self, least: int) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            number = int(value)
        except ValueError:
            number = -1
        if not self._least <= number <= _MAX_COUNT:
            self.fail(f"'{value}' is not a whole number from {self._least} to {_MAX_COUNT}", param, ctx)
        return number


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return units.parse(value)
        except ValueError:
            self.fail(f"'{value}' is not a duration such as 90, 90s, 1h30m or 2d12h", param, ctx)


class _Since(click.ParamType[float]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        # Imported here: few commands look back.
        from datetime import datetime

        from aqueue.client import since

        try:
            return since.moment_of(value, datetime.now())
        except ValueError:
            self.fail(f"'{value}' is not {since.EXPECTED}", param, ctx)


class _IdleTimeout(_Duration):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        return math.inf if value == "never" else super().convert(value, param, ctx)


class _Name(click.ParamType[str]):
    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not is_name(value):
            self.fail(f"invalid name '{value}': use 1 to {MAX_NAME} letters, digits, '_', '.' or '-'", param, ctx)
        return str(value)


class _Gpus(click.ParamType[tuple[GpuId, ...]]):
    name = "gpus"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[GpuId, ...]:
        try:
            written = str(value)
            if written.startswith("[") and written.endswith("]"):
                written = written[1:-1]
            return check_ids([word.strip() for word in written.split(",")])
        except ValueError:
            self.fail(f"'{value}' is not a list of GPUs; write indices or UUIDs, such as 0,2", param, ctx)


class _Demand(_Gpus):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        written = str(value)
        if written.isascii() and written.isdigit() and int(written) <= MAX_GPUS:
            return int(written)
        return super().convert(value, param, ctx)


class _Size(click.ParamType[int]):
    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return parse_size(value)
        except ValueError:
            self.fail(f"'{value}' is not {SIZE}", param, ctx)


COUNT = _Whole(1)
"""A whole number from 1."""

NUMBER = _Whole(0)
"""A whole number from 0."""

DURATION = _Duration()
SINCE = _Since()
IDLE_TIMEOUT = _IdleTimeout()
NAME_TYPE = _Name()
GPUS_TYPE = _Gpus()


def gpu_options(command: F) -> F:
    """Give a command the options `--gpus` and `--gpu-memory`, as `gpus` and `gpu_memory`; None: not given."""
    command = click.option(
        "--gpu-memory", type=_Size(), metavar="SIZE", help="Free memory required on each GPU, such as 20GiB."
    )(command)
    return click.option(
        "--gpus",
        type=_Demand(),
        metavar="N|LIST",
        help="Number of GPUs, or a list such as 0,2 or [0]; 0 hides all GPUs.",
    )(command)


def experiment_options(command: F) -> F:
    """Give a command the options `--after`, which may be repeated, `--after-any`, `--isolate` and `--group`."""
    command = click.option("--group", type=NAME_TYPE, metavar="NAME", help="Put the run into this group.")(command)
    command = click.option("--isolate", is_flag=True, help="Run in a git checkout of the code as it is now.")(
        command
    )
    return after_options("Start after these runs succeed; may be repeated.")(command)


def after_options(text: str) -> Callable[[F], F]:
    """Return a decorator that gives a command the options `--after`, with a help text, and `--after-any`."""

    def split(ctx: click.Context, param: click.Parameter, written: tuple[str, ...]) -> tuple[str, ...]:  # noqa: ARG001 - click's
        entries = [entry.strip() for text in written for entry in text.split(",")]
        if not all(entries):
            raise click.BadParameter("it is empty: name a run, or leave the option out")
        return tuple(dict.fromkeys(entries))

    def give(command: F) -> F:
        command = click.option(
            "--after-any", is_flag=True, help="Start even if the runs of --after do not succeed."
        )(command)
        return click.option("--after", multiple=True, metavar="RUN|NAME|group:NAME", callback=split, help=text)(
            command
        )

    return give


def tags_option(text: str) -> Callable[[F], F]:
    """Return a decorator that gives a command the option `--tags`, as `tags`, with a help text."""

    def parse(ctx: click.Context, param: click.Parameter, written: str) -> tuple[str, ...]:  # noqa: ARG001 - click's
        try:
            return parse_tags(written)
        except ValueError:
            raise UsageError(
                f"--tags {written}: not a list of tags", "write key=value or key, separated by commas"
            ) from None

    return click.option(
        "--tags",
        metavar="TAGS",
        default="",
        callback=parse,
        help=f"{text}, separated by commas: key=value or key.",
    )


def environment_option(command: F) -> F:
    """Give a command the option `--env`, which may be repeated, as `env`: the variables with their values."""

    def parse(ctx: click.Context, param: click.Parameter, written: tuple[str, ...]) -> dict[str, str]:  # noqa: ARG001 - click's
        # Imported here: most commands have no such option.
        from aqueue.client.session import environment
        from aqueue.client.wishes import check_variable

        variables = {}
        for text in written:
            key, equals, value = text.partition("=")
            check_variable(key)
            if not equals and key not in environment():
                raise UsageError(f"--env {key}: the variable is not set here", f"give it a value: --env {key}=…")
            variables[key] = value if equals else environment()[key]
        return variables

    return click.option(
        "--env",
        "env",
        metavar="K[=V]",
        multiple=True,
        callback=parse,
        help="Set an environment variable; without =V, to its value here. May be repeated.",
    )(command)


def timeout_option(command: F) -> F:
    """Give a command the option `--timeout`, as `timeout`."""
    text = "Stop the run after this long, such as 90s or 1h30m; 0: no limit."
    return click.option("--timeout", type=DURATION, help=text)(command)


def hold_option(command: F) -> F:
    """Give a command the option `--hold`, as `hold`."""
    return click.option("--hold", is_flag=True, help="Hold the run until `aqueue release`.")(command)


def working_dir_option(text: str) -> Callable[[F], F]:
    """Return a decorator that gives a command the option `--working-dir`, as `working_dir`, with a help text."""
    return click.option("--working-dir", type=click.Path(file_okay=False), metavar="DIR", help=text)


def name_option(text: str, *others: str) -> Callable[[F], F]:
    """Return a decorator that gives a command the option `-n`, as `name`.

    Args:
        others: further spellings.
    """
    return click.option("-n", *others, "--name", "name", type=NAME_TYPE, metavar="NAME", help=text)


def directory_option(command: F) -> F:
    """Give a command the option `--dir`, as `directory`."""
    return click.option("--dir", "directory", metavar="DIR", help="Folder to use instead of the nearest queue/.")(
        command
    )


def refuse_both(quiet: bool, verbose: bool) -> None:
    """Refuse `-q` beside `-v`.

    Raises:
        UsageError: both are given.
    """
    if quiet and verbose:
        raise click.UsageError("-q and -v cannot be used together")
