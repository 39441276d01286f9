"""Environment variables that a program gives, checked as those of a command line are."""

from __future__ import annotations

from collections.abc import Mapping

from aqueue.client.options import invalid
from aqueue.client.params import plain_of
from aqueue.client.wishes import check_variable
from aqueue.model.values import plain_text


def variables_of(env: Mapping[str, object]) -> dict[str, str]:
    """Return variables, the values of which are written as a task file's are.

    Raises:
        UsageError: one of them cannot be one.
    """
    if not isinstance(env, Mapping):
        raise invalid("env", env, "a mapping of names and values")
    for variable in env:
        if not isinstance(variable, str):
            raise invalid("env", variable, "text as the name of a variable")
        check_variable(variable)
    return {variable: text_of_value(f"env.{variable}", value) for variable, value in env.items()}


def text_of_value(key: str, value: object) -> str:
    """Return a plain value as a command gets it.

    Raises:
        UsageError: it is none.
    """
    if value is None:
        raise invalid(key, value, "text, a number or a truth value")
    return plain_text(plain_of(key, value))
