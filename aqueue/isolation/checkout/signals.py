"""The signals that ask the program to stop."""

import signal

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stopped(BaseException):
    """A signal that asks for the end of this process."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name} while making the checkout")
        self.exit_code = 128 + number


def raise_stopped() -> None:
    """Raise `Stopped` at the first of the signals, and ignore all later ones."""
    for number in _SIGNALS:
        signal.signal(number, _stop)


def ignore() -> None:
    """Ignore the signals from now on."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _stop(number: int, _: object) -> None:
    # Nothing may interrupt the removal of a half-made checkout.
    ignore()
    raise Stopped(number)
