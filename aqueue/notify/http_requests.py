"""Requests to the URLs of targets."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import IO, Final
from urllib.parse import urlsplit

from aqueue.notify.errors import DeliveryError

_SECONDS: Final = 20.0


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A refusal to follow redirects: nobody else is contacted than the user has configured."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> None:
        """Return None: the redirect becomes an error."""


def post(url: str, content: bytes, headers: Mapping[str, str]) -> None:
    """Post something to a URL.

    Raises:
        DeliveryError: it was not accepted; the error names the host only, as the rest of a URL may be secret.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https"):
        raise DeliveryError("this is not a URL that begins with http:// or https://")
    try:
        request = urllib.request.Request(url, content, {"User-Agent": "aqueue", **headers}, method="POST")  # noqa: S310 - checked above
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=_SECONDS):
            pass
    except urllib.error.HTTPError as error:
        with error:
            pass
        what = "redirects to another URL" if 300 <= error.code < 400 else f"answers HTTP {error.code}"
        raise DeliveryError(f"{host} {what}") from None
    except urllib.error.URLError as error:
        raise DeliveryError(f"{host} cannot be reached: {_reason(error.reason)}") from None
    except TimeoutError:
        raise DeliveryError(f"{host} does not answer") from None
    except OSError as error:
        raise DeliveryError(f"{host} cannot be reached: {_reason(error)}") from None
    except (http.client.HTTPException, ValueError):
        # Its text may have parts of the URL or of a header in it.
        raise DeliveryError(f"the request to {host} is not valid, or its answer is not HTTP") from None


def _reason(error: str | BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer"
    return (isinstance(error, OSError) and error.strerror) or str(error)
