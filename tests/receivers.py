"""Receivers of messages on this machine: what targets of notifications send to."""

import contextlib
import io
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Request(NamedTuple):
    """A request that was received."""

    path: str
    headers: Mapping[str, str]
    content: bytes


class HttpReceiver:
    """A web server that takes note of what it gets.

    Attributes:
        answers: the status codes of the next answers; then 200.
        may_answer: as long as it is not set, nothing is answered.
    """

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answers: list[int] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.requests.append(Request(self.path, dict(self.headers.items()), content))
                receiver.may_answer.wait(20.0)
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.send_header("Location", f"{receiver.url}/elsewhere")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its signature
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def paths(self) -> list[str]:
        """Return the paths of all requests, in order."""
        return [request.path for request in self.requests]

    def serve(self) -> None:
        self._server.serve_forever(0.02)

    def close(self) -> None:
        self.may_answer.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def receiving() -> Iterator[HttpReceiver]:
    """Receive requests for as long as the block lasts."""
    receiver = HttpReceiver()
    thread = threading.Thread(target=receiver.serve)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.close()
        thread.join()


class SmtpReceiver(threading.Thread):
    """A mail server for one mail at a time, which speaks as much of SMTP as that needs.

    Attributes:
        lines: all that clients have said.
        mails: the mails, each as text.
        refuses: the command that it refuses.
    """

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"smtp://127.0.0.1:{self._socket.getsockname()[1]}"
        self.lines: list[str] = []
        self.mails: list[str] = []
        self.refuses = "STARTTLS"

    def run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as stream, contextlib.suppress(OSError):
                self._converse(stream)

    def _converse(self, stream: io.BufferedRWPair) -> None:
        stream.write(b"220 ready\r\n")
        stream.flush()
        while line := stream.readline().decode().strip():
            self.lines.append(line)
            command = line.split()[0].upper()
            if command == self.refuses:
                stream.write(b"535 no: open-sesame\r\n")
            elif command == "EHLO":
                stream.write(b"250-hello\r\n250 AUTH PLAIN\r\n")
            elif command == "AUTH":
                stream.write(b"235 welcome\r\n")
            elif command == "DATA":
                stream.write(b"354 go on\r\n")
                stream.flush()
                self.mails.append("".join(iter(lambda: stream.readline().decode().replace("\r\n", "\n"), ".\n")))
                stream.write(b"250 taken\r\n")
            else:
                stream.write(b"250 fine\r\n")
            stream.flush()

    def close(self) -> None:
        # Closing it alone would not wake the thread.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.join()


@contextmanager
def receiving_mail() -> Iterator[SmtpReceiver]:
    """Receive mails for as long as the block lasts."""
    receiver = SmtpReceiver()
    receiver.start()
    try:
        yield receiver
    finally:
        receiver.close()
