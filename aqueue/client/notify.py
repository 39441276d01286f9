"""Messages to targets, sent by this process; servers send those about runs."""

import os
from collections.abc import Sequence

from aqueue.client.session import Warn, config_in_force, now, reading
from aqueue.errors import AqueueError
from aqueue.folder.layout import Folder
from aqueue.formats import notify_keys
from aqueue.model.config import Config
from aqueue.model.notification import Event, Message, Notify, Target
from aqueue.notify.delivery import deliver_blocking
from aqueue.store.outbox import Undelivered


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
    target = target_named(config_in_force(folder, warn), name)
    message = Message(id=os.urandom(16).hex(), event=Event.TEST, at=now())
    if (error := deliver_blocking(folder, target, message)) is not None:
        raise NotifyError(
            f"{name}: {error}", "mend the target in aqueue.yaml, or what it needs, and test it again"
        )


def target_named(config: Config, name: str) -> Target:
    """Return a target.

    Raises:
        UsageError: there is none of that name.
    """
    notify_keys.check_names(Notify(to=(name,)), [target.name for target in config.notify])
    return next(target for target in config.notify if target.name == name)


def targets(folder: Folder, warn: Warn) -> tuple[Sequence[Target], Sequence[Undelivered]]:
    """Return the targets, and the messages that are not sent yet or were given up.

    Args:
        warn: is called if the configuration has an error.
    """
    config = config_in_force(folder, warn)
    with reading(folder) as store:
        return config.notify, list(store.outbox.undelivered())
