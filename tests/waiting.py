"""Wait for a condition with a deadline: the only kind of waiting that the tests do."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

SECONDS = 20.0
STEP = 0.01

T = TypeVar("T")


def eventually(condition: Callable[[], T], seconds: float = SECONDS) -> T:
    """The first true value of `condition`; AssertionError, naming it, when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(_too_late(condition, seconds))
        time.sleep(STEP)
    return value


async def eventually_async(condition: Callable[[], Awaitable[T] | T], seconds: float = SECONDS) -> T:
    """The same for code on the event loop; `condition` may be a coroutine function."""
    deadline = time.monotonic() + seconds
    while True:
        answer = condition()
        value: T = await answer if isinstance(answer, Awaitable) else answer
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(_too_late(condition, seconds))
        await asyncio.sleep(STEP)


def _too_late(condition: Callable[[], Any], seconds: float) -> str:
    try:
        name = inspect.getsource(condition).strip()
    except (OSError, TypeError):
        name = getattr(condition, "__qualname__", repr(condition))
    return f"not so within {seconds:g} s: {name}"
