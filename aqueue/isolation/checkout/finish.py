"""The end of an attempt: outputs and metrics are saved, and the checkout is removed unless it is to be kept."""

import contextlib
import os
from collections.abc import Callable

from aqueue.isolation.checkout.errors import CheckoutError, reason
from aqueue.isolation.checkout.files import copy, destination, discard, is_within, refuse_to_copy_into_itself
from aqueue.isolation.checkout.patterns import find
from aqueue.isolation.checkout.plan import Plan

_MAX_METRICS = (1 << 20) + 1


def finish(plan: Plan, exit_code: int, say: Callable[[str], None]) -> bool:
    """Copy the outputs to the run's directory, and remove the checkout unless it is to be kept.

    Args:
        exit_code: of the command.
        say: is called with each line for the attempt's log.

    Returns:
        False if a step failed; the other steps are done then, too.
    """
    is_saved = _save_outputs(plan, say)
    if plan.checkout is None or not os.path.lexists(plan.checkout):
        return is_saved
    if not is_saved:
        say(f"the checkout is kept: {plan.checkout}")
    elif plan.keep == "never" or (plan.keep == "failed" and exit_code == 0):
        try:
            discard(plan.checkout)
        except OSError as error:
            say(f"the checkout {plan.checkout} could not be removed: {reason(error)}")
            return False
    return is_saved


def mark_start(plan: Plan, attempt: str) -> None:
    """Give the plan the time of the metrics.json that the command finds, 0 for none: one that it writes is newer.

    The clock of files ticks slowly: a file written right after the start may have the time of the start.
    """
    found = 0
    with contextlib.suppress(OSError):
        found = os.stat(os.path.join(plan.working_dir, "metrics.json")).st_mtime_ns
    os.utime(attempt + ".plan", ns=(found, found))


def save_metrics(plan: Plan, attempt: str) -> None:
    """Save the metrics.json that the command wrote in its checkout, if the wrapper could not do so."""
    if plan.checkout is None or os.path.lexists(attempt + ".metrics.json"):
        return
    written = os.path.join(plan.working_dir, "metrics.json")
    with contextlib.suppress(OSError):
        if os.stat(written).st_mtime_ns > os.stat(attempt + ".plan").st_mtime_ns:
            with open(written, "rb") as source, open(attempt + ".metrics.json", "xb") as target:
                target.write(source.read(_MAX_METRICS))


def _save_outputs(plan: Plan, say: Callable[[str], None]) -> bool:
    """Copy all outputs that can be copied; return False if one could not."""
    is_saved = True
    for output in plan.outputs:
        paths = list(find(plan.working_dir, output))
        if not paths:
            say(f"there is no {output} to copy")
        for path in paths:
            try:
                _copy_out(plan, path)
            except (OSError, CheckoutError) as error:
                say(f"{path} could not be copied: {reason(error)}")
                is_saved = False
    return is_saved


def _copy_out(plan: Plan, path: str) -> None:
    """Copy an output, a path from the working directory, to the run's directory."""
    first = path.partition("/")[0]
    if first == "task.yaml" or first.startswith(("attempt-", "checkout-")):
        raise CheckoutError(f"the name {first} is reserved in the run's directory")
    top = os.path.realpath(os.path.join(plan.working_dir, path))
    refuse_to_copy_into_itself(top, plan.run_dir)
    checkout = os.path.realpath(plan.checkout) if plan.checkout else None

    def is_followed(link: str) -> bool:
        """Return True if a copy of the link would lead nowhere, or elsewhere."""
        text = os.readlink(link)
        if os.path.isabs(text):
            return checkout is not None and is_within(os.path.realpath(link), checkout)
        return not is_within(os.path.normpath(os.path.join(os.path.dirname(link), text)), top)

    copy(top, destination(plan.run_dir, path), is_followed)
