"""Messages to targets, sent by this process; servers send those about runs."""

import os
from collections.abc import Sequence

from aqueue.client.session import Warn, config_in_force, now, reading
from aqueue.errors import AqueueError
from aqueue.folder.layout import Folder
from aqueue.formats.notify_words import check_names
from aqueue.model.notification import Event, Message, Notify, Target
from aqueue.model.run import Run, State
from aqueue.notify.delivery import deliver_blocking
from aqueue.policy import messages
from aqueue.policy.messages import Member
from aqueue.store.outbox import Undelivered
from aqueue.units import counted


class NotifyError(AqueueError):
    """A message could not be sent."""


def test(folder: Folder, name: str, warn: Warn) -> None:
    """Send a test message to a target, with the environment of this process.

    Args:
        warn: is called if the configuration has an error.

    Raises:
        UsageError: there is no such target.
        NotifyError: the message could not be sent.
    """
    (target,) = targets_named(folder, [name], warn)
    message = Message(id=os.urandom(16).hex(), event=Event.TEST, at=now())
    if (error := deliver_blocking(folder, target, message)) is not None:
        raise NotifyError(
            f"{name}: {error}", "mend the target in aqueue.yaml, or what it needs, and test it again"
        )


def tell(folder: Folder, target: Target, runs: Sequence[Run]) -> str | None:
    """Tell a target how runs have ended.

    Returns:
        why the message could not be sent; None if it was sent.
    """
    at, id_ = now(), os.urandom(16).hex()
    if len(runs) == 1 and runs[0].state is not State.ABORTED:
        event = Event.SUCCEEDED if runs[0].state is State.SUCCEEDED else Event.FAILED
        message = messages.of_run(runs[0], event, at, id_)
    else:
        name = runs[0].name if len(runs) == 1 else counted(len(runs), "run")
        members = [Member(run.name, run.state, run.reason, run.started_at, run.metrics) for run in runs]
        message = messages.of_group(name, members, at, id_)
    return deliver_blocking(folder, target, message)


def targets_named(folder: Folder, names: Sequence[str], warn: Warn) -> list[Target]:
    """Return targets.

    Args:
        warn: is called if the configuration has an error.

    Raises:
        UsageError: one does not exist.
    """
    known = {target.name: target for target in config_in_force(folder, warn).notify}
    check_names(Notify(to=tuple(names)), known)
    return [known[name] for name in dict.fromkeys(names)]


def targets(folder: Folder, warn: Warn) -> tuple[Sequence[Target], Sequence[Undelivered]]:
    """Return the targets, and the messages that are not sent yet or were given up.

    Args:
        warn: is called if the configuration has an error.
    """
    config = config_in_force(folder, warn)
    with reading(folder) as store:
        return config.notify, list(store.outbox.undelivered())
