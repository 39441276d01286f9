"""The ways to send a message: a function for each kind of target."""

import hashlib
import hmac
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from aqueue.model.notification import Event, Kind, Message, Target
from aqueue.notify import texts
from aqueue.notify.errors import DeliveryError


class Outgoing(NamedTuple):
    """A message on its way.

    Attributes:
        target: its target, with all secrets filled in.
        host: the name of this machine.
        folder: the path of the folder.
        directory: the directory in which commands run.
    """

    target: Target
    message: Message
    host: str
    folder: str
    directory: str

    @property
    def url(self) -> str:
        """Return the address of the target."""
        return str(self.target.address)

    @property
    def title(self) -> str:
        """Return what has happened, in one line."""
        return texts.title(self.message)

    @property
    def text(self) -> str:
        """Return the details, in a few lines."""
        return texts.text(self.message, self.host)

    def as_json(self) -> bytes:
        """Return all facts."""
        return json.dumps(texts.as_json(self.message, self.host, self.folder)).encode()


def command(outgoing: Outgoing) -> None:
    """Run a command: the facts are in its environment, and as JSON in its standard input.

    Raises:
        DeliveryError: it fails.
    """
    address = outgoing.target.address
    words = ["/bin/sh", "-c", address] if isinstance(address, str) else list(address)
    try:
        done = subprocess.run(  # noqa: S603 - the user's
            words,
            input=outgoing.as_json(),
            stdout=sys.stderr.fileno(),
            env={**os.environ, **_variables(outgoing)},
            cwd=outgoing.directory,
            check=False,
        )
    except OSError as error:
        raise DeliveryError(f"the command cannot be started: {error.strerror}") from None
    if done.returncode < 0:
        raise DeliveryError(f"the command was killed by signal {-done.returncode}")
    if done.returncode:
        raise DeliveryError(f"the command ended with exit code {done.returncode}")


def webhook(outgoing: Outgoing) -> None:
    """Post all facts as JSON, signed if there is a secret.

    Raises:
        DeliveryError: it was not accepted.
    """
    from aqueue.notify.http_requests import post

    content, options = outgoing.as_json(), outgoing.target.options
    headers = {
        "Content-Type": "application/json",
        "X-Aqueue-Event": str(outgoing.message.event),
        "X-Aqueue-Event-Id": outgoing.message.id,
        **_authorization(options),
    }
    if "secret" in options:
        signature = hmac.new(options["secret"].encode(), content, hashlib.sha256).hexdigest()
        headers["X-Aqueue-Signature"] = f"sha256={signature}"
    post(outgoing.url, content, headers)


def ntfy(outgoing: Outgoing) -> None:
    """Publish to a topic of ntfy.

    Raises:
        DeliveryError: it was not accepted.
    """
    from aqueue.notify.http_requests import post

    is_bad = outgoing.message.state == "failed"
    headers = {
        "Title": outgoing.title,
        "Tags": "x" if is_bad else "white_check_mark",
        "Priority": "high" if is_bad else "default",
        **_authorization(outgoing.target.options),
    }
    post(outgoing.url, outgoing.text.encode(), headers)


def healthcheck(outgoing: Outgoing) -> None:
    """Tell a health check of a start, or of an end with its exit code.

    Raises:
        DeliveryError: it was not accepted.
    """
    from aqueue.notify.http_requests import post

    message = outgoing.message
    match message.event:
        case Event.STARTED:
            signal = "/start"
        case Event.TEST:
            signal = "/log"
        case _ if message.state == "succeeded":
            signal = "/0"
        case _:
            # A run that timed out or was lost has none, and a group has several.
            signal = f"/{message.exit_code}" if message.exit_code else "/fail"
    base, mark, query = outgoing.url.partition("?")
    post(base.rstrip("/") + signal + mark + query, f"{outgoing.title}\n{outgoing.text}".encode(), {})


def smtp(outgoing: Outgoing) -> None:
    """Send a mail.

    Raises:
        DeliveryError: it was not accepted.
    """
    from aqueue.notify.mail import send

    target = outgoing.target
    sender = target.options.get("sender", target.recipients[0])
    send(outgoing.url, sender, target.recipients, outgoing.title, outgoing.text, target.options)


def desktop(outgoing: Outgoing) -> None:
    """Show a message on the desktop.

    Raises:
        DeliveryError: it cannot be shown.
    """
    urgency = "critical" if outgoing.message.state == "failed" else "normal"
    words = ["notify-send", "--app-name=aqueue", f"--urgency={urgency}", "--", outgoing.title, outgoing.text]
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(), check=False)  # noqa: S603 - of the system
    except OSError as error:
        hint = "install it, such as by `apt install libnotify-bin`"
        raise DeliveryError(f"notify-send cannot be started: {error.strerror}; {hint}") from None
    if done.returncode:
        raise DeliveryError("notify-send failed; has this server a desktop? (DBUS_SESSION_BUS_ADDRESS, DISPLAY)")


def apprise(outgoing: Outgoing) -> None:
    """Send a message by Apprise, if that is installed.

    Raises:
        DeliveryError: it is not installed, does not know the URL, or could not send the message.
    """
    try:
        module = importlib.import_module("apprise")
    except ImportError:
        raise DeliveryError("Apprise is not installed where aqueue is: pip install apprise") from None
    sender = module.Apprise()
    if not sender.add(outgoing.url):
        raise DeliveryError("Apprise does not know this URL")
    kind = "failure" if outgoing.message.state == "failed" else "info"
    if not sender.notify(title=outgoing.title, body=outgoing.text, notify_type=kind):
        raise DeliveryError("Apprise could not send it")


SENDERS: Final[Mapping[Kind, Callable[[Outgoing], None]]] = {
    Kind.NTFY: ntfy,
    Kind.COMMAND: command,
    Kind.SMTP: smtp,
    Kind.WEBHOOK: webhook,
    Kind.DESKTOP: desktop,
    Kind.HEALTHCHECK: healthcheck,
    Kind.APPRISE: apprise,
}


def _authorization(options: Mapping[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {options['token']}"} if "token" in options else {}


def _variables(outgoing: Outgoing) -> dict[str, str]:
    """Return the variables of a command; one for each fact that is not a list."""
    facts = texts.as_json(outgoing.message, outgoing.host, outgoing.folder)
    return {
        f"AQUEUE_NOTIFY_{name.upper()}": "" if fact is None else str(fact).replace("\0", "")
        for name, fact in facts.items()
        if not isinstance(fact, list | dict)
    }
