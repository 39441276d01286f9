"""Mails by SMTP."""

import contextlib
import smtplib
import ssl
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from aqueue.notify.errors import DeliveryError

_SECONDS: Final = 20.0
_PORTS: Final = {"smtp": 587, "smtps": 465}


def send(
    url: str, sender: str, recipients: Sequence[str], subject: str, text: str, options: Mapping[str, str]
) -> None:
    """Send a mail.

    Args:
        url: `smtp://HOST:PORT`, encrypted if the server can, or `smtps://HOST:PORT`, encrypted from the start.
        options: may have a `user` and a `password`, which are sent over an encrypted connection only, or to this
            machine.

    Raises:
        DeliveryError: it was not accepted. The answers of the server are left out: they may repeat secrets.
    """
    scheme, host, port = _parts(url)
    try:
        mail = EmailMessage()
        mail["Subject"], mail["From"], mail["To"] = subject, sender, ", ".join(recipients)
        mail["Date"], mail["Message-ID"] = formatdate(), make_msgid(domain="aqueue.invalid")
        mail.set_content(text)
    except (ValueError, LookupError):
        raise DeliveryError("an address of the mail is not valid") from None
    try:
        with contextlib.closing(_connection(scheme, host, port)) as connection:
            if scheme == "smtp" and connection.has_extn("starttls"):
                connection.starttls(context=ssl.create_default_context())
                scheme = "smtps"
            if "password" in options:
                if scheme != "smtps" and not _is_here(host):
                    raise DeliveryError(f"{host} offers no encryption, so the password is not sent to it")
                connection.login(options.get("user", sender), options["password"])
            connection.send_message(mail)
            # The mail is accepted, whatever comes now.
            with contextlib.suppress(smtplib.SMTPException, OSError):
                connection.quit()
    except smtplib.SMTPAuthenticationError:
        raise DeliveryError(f"{host} refuses the user or the password") from None
    except smtplib.SMTPRecipientsRefused:
        raise DeliveryError(f"{host} refuses the recipients") from None
    except smtplib.SMTPResponseException as error:
        raise DeliveryError(f"{host} answers {error.smtp_code}") from None
    except smtplib.SMTPException as error:
        raise DeliveryError(f"{host} does not take the mail ({type(error).__name__})") from None
    except ssl.SSLError as error:
        raise DeliveryError(f"{host} cannot be reached over TLS: {error.reason}") from None
    except TimeoutError:
        raise DeliveryError(f"{host} does not answer") from None
    except OSError as error:
        raise DeliveryError(f"{host} cannot be reached: {error.strerror}") from None


def _parts(url: str) -> tuple[str, str, int]:
    """Return the scheme, host and port of a URL."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError(url)
        return parts.scheme, parts.hostname, parts.port or _PORTS[parts.scheme]
    except ValueError:
        raise DeliveryError("this is not a URL that begins with smtp:// or smtps://") from None


def _connection(scheme: str, host: str, port: int) -> smtplib.SMTP:
    """Return a connection that has said hello."""
    if scheme == "smtps":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(
            host, port, timeout=_SECONDS, context=ssl.create_default_context()
        )
    else:
        connection = smtplib.SMTP(host, port, timeout=_SECONDS)
    connection.ehlo()
    return connection


def _is_here(host: str) -> bool:
    """Return True for this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
