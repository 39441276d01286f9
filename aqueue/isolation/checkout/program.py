"""The two commands of the program: what each does in which order, and its exit code."""

import contextlib
import os

# All of the package is loaded at the start: an upgrade of aqueue meanwhile must not mix two versions of it.
from aqueue.isolation.checkout import signals
from aqueue.isolation.checkout.errors import FAILED, CheckoutError, exit_code_for, reason
from aqueue.isolation.checkout.finish import finish, mark_start, save_metrics
from aqueue.isolation.checkout.make import make
from aqueue.isolation.checkout.plan import Plan


def main(arguments: list[str]) -> int:
    """Run the command that the arguments name.

    Returns:
        the exit code.
    """
    match arguments:
        case ["make", attempt]:
            return _make(attempt)
        case ["finish", attempt, exit_code]:
            return _finish(attempt, int(exit_code))
        case _:
            _write_line("usage: make ATTEMPT | finish ATTEMPT EXIT_CODE")
            return FAILED


def _make(attempt: str) -> int:
    signals.raise_stopped()
    try:
        plan = Plan(attempt)
        make(plan)
        mark_start(plan, attempt)
    except (CheckoutError, signals.Stopped) as error:
        _write_line(str(error))
        return error.exit_code
    except OSError as error:
        _write_line(f"the checkout cannot be made: {reason(error)}")
        return exit_code_for(error)
    return 0


def _finish(attempt: str, exit_code: int) -> int:
    # Signals are meant for the command; its outputs are copied anyway.
    signals.ignore()
    try:
        plan = Plan(attempt)
        save_metrics(plan, attempt)
        return 0 if finish(plan, exit_code, lambda line: _write_line(f"aqueue: {line}")) else FAILED
    except CheckoutError as error:
        _write_line(f"aqueue: {error}")
        return FAILED


def _write_line(line: str) -> None:
    """Write a line to standard output, if it can be written."""
    with contextlib.suppress(OSError):
        os.write(1, line.replace("\n", "?").encode(errors="replace") + b"\n")
