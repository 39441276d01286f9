"""Kinds of values that options take."""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import click

from aqueue import units
from aqueue.model.gpu import MAX_GPUS, GpuId, check_ids
from aqueue.model.task import is_name
from aqueue.units import SIZE, parse_size

F = TypeVar("F", bound=Callable[..., Any])


COUNT = click.IntRange(min=1, max=2**31 - 1)
"""A number of things, of which there is at least one."""


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return units.parse(value)
        except ValueError:
            self.fail(f"'{value}' is no length of time such as 90, 90s, 1h30m or 2d12h", param, ctx)


class _IdleTimeout(_Duration):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        return math.inf if value == "never" else super().convert(value, param, ctx)


class _Name(click.ParamType[str]):
    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not is_name(value):
            self.fail(f"'{value}' must be 1 to 64 letters, digits, '_', '.' or '-'", param, ctx)
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
            self.fail(f"'{value}' does not name GPUs; expected indices or UUIDs, such as 0,2", param, ctx)


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


DURATION = _Duration()
IDLE_TIMEOUT = _IdleTimeout()
NAME_TYPE = _Name()
GPUS_TYPE = _Gpus()


def demand_options(command: F) -> F:
    """Give a command the options `--gpus` and `--gpu-memory`, as `gpus` and `gpu_memory`; None: not given."""
    command = click.option(
        "--gpu-memory", type=_Size(), metavar="SIZE", help="Free memory needed on each GPU: 20GiB."
    )(command)
    return click.option(
        "--gpus",
        type=_Demand(),
        metavar="N|LIST",
        help="Number of GPUs, or which ones: 2, or [0] or 0,2; 0 hides all.",
    )(command)


def experiment_options(command: F) -> F:
    """Give a command the options `--after`, which may be repeated, `--after-any`, `--isolate` and `--group`."""

    def split(ctx: click.Context, param: click.Parameter, written: tuple[str, ...]) -> tuple[str, ...]:  # noqa: ARG001 - click's
        entries = [entry.strip() for text in written for entry in text.split(",")]
        if not all(entries):
            raise click.BadParameter("it is empty: name a run, or leave it out")
        return tuple(dict.fromkeys(entries))

    command = click.option("--group", type=NAME_TYPE, help="Group that the run belongs to.")(command)
    command = click.option("--isolate", is_flag=True, help="Run it in a checkout of the code as it is now (git).")(
        command
    )
    command = click.option("--after-any", is_flag=True, help="Start however the runs of --after ended.")(command)
    return click.option(
        "--after", multiple=True, metavar="RUN|NAME|group:NAME", callback=split, help="Start after these succeed."
    )(command)


def directory_option(command: F) -> F:
    """Give a command the option `--dir`, as `directory`."""
    return click.option("--dir", "directory", metavar="DIR", help="Folder to use.")(command)


def refuse_both(quiet: bool, verbose: bool) -> None:
    """Refuse `-q` beside `-v`.

    Raises:
        UsageError: both are given.
    """
    if quiet and verbose:
        raise click.UsageError("-q and -v exclude each other")
