"""Kinds of values that options take."""

from typing import Any

import click

from aqueue import durations
from aqueue.models import is_name


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            return durations.parse(value)
        except ValueError:
            self.fail(f"'{value}' is no length of time such as 90, 90s, 1h30m or 2d12h", param, ctx)


class _Name(click.ParamType[str]):
    name = "name"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not is_name(value):
            self.fail(f"'{value}' must be 1 to 64 letters, digits, '_', '.' or '-'", param, ctx)
        return str(value)


DURATION = _Duration()
NAME_TYPE = _Name()
