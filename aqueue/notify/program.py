"""The program that sends one message; see `delivery`, which starts it."""

import os
import platform
import sys

import msgspec

from aqueue.model.notification import Message, Target
from aqueue.notify.errors import DeliveryError
from aqueue.notify.secrets import Secrets


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A message to send.

    Attributes:
        folder: the path of the folder.
        directory: the folder's parent, in which commands run.
    """

    target: Target
    message: Message
    folder: str
    directory: str


class Result(msgspec.Struct, frozen=True):
    """The result of sending a message.

    Attributes:
        error: why it was not sent, without secrets; None if it was sent.
    """

    error: str | None = None


def main() -> None:
    """Send the message in standard input, and print the result."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    sys.stdout.buffer.write(msgspec.json.encode(Result(_send(job))))
    sys.stdout.flush()


def _send(job: Job) -> str | None:
    """Send a message, and return why it was not sent; None if it was."""
    secrets = Secrets(os.environ, job.folder)
    try:
        from aqueue.notify.senders import SENDERS, Outgoing

        target = secrets.fill_in(job.target)
        SENDERS[target.kind](Outgoing(target, job.message, platform.node(), job.folder, job.directory))
    except DeliveryError as error:
        return secrets.take_out(str(error))
    except Exception as error:
        return f"it could not be sent ({type(error).__name__})"
    return None
