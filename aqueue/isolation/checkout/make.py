"""Making a checkout: all of it, or nothing."""

import os

from aqueue.isolation.checkout import signals
from aqueue.isolation.checkout.errors import CheckoutError
from aqueue.isolation.checkout.files import copy, destination, discard, refuse_to_copy_into_itself
from aqueue.isolation.checkout.plan import Plan
from aqueue.isolation.checkout.repository import make_repository, write_files


def make(plan: Plan) -> None:
    """Make the checkout of a plan, if it has one; leave nothing behind if that fails.

    Raises:
        CheckoutError, OSError: it cannot be made.
        Stopped: a signal asked to stop.
    """
    checkout = plan.checkout
    if checkout is None:
        return
    if os.path.lexists(checkout):
        raise CheckoutError(f"{checkout} already exists")
    if not os.path.isdir(plan.repository):
        raise CheckoutError(f"the git repository {plan.repository} no longer exists")
    for path in plan.copy + plan.link:
        if not os.path.exists(os.path.join(plan.source, path)):
            raise CheckoutError(f"there is no {path} in {plan.source} to copy or link into the checkout")
    try:
        os.mkdir(checkout, 0o700)
        make_repository(plan, checkout)
        write_files(plan, checkout)
        os.makedirs(plan.working_dir, exist_ok=True)
        for path in plan.copy:
            _copy_in(plan, checkout, path)
        for path in plan.link:
            _link_in(plan, checkout, path)
    except BaseException:
        signals.ignore()
        discard(checkout)
        raise


def _copy_in(plan: Plan, checkout: str, path: str) -> None:
    """Copy a file or directory of the user's into the checkout; of a symbolic link, its target."""
    source = os.path.realpath(os.path.join(plan.source, path))
    refuse_to_copy_into_itself(source, checkout)
    copy(source, destination(checkout, os.path.join(plan.prefix, path)))


def _link_in(plan: Plan, checkout: str, path: str) -> None:
    """Link a file or directory of the user's into the checkout, in place of what is there."""
    target = destination(checkout, os.path.join(plan.prefix, path))
    discard(target)
    os.symlink(os.path.join(plan.source, os.path.normpath(path)), target)
