"""The lines that a server prints about events."""

import sys
import time
from datetime import datetime

import pytest

from aqueue.cli.console import Narrator
from aqueue.model.events import Notice


def test_on_a_terminal_nothing_is_told_with_an_earlier_time_than_it_happened(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    narrator = Narrator(quiet=False, verbose=False)
    narrator.report(Notice("first"))
    capsys.readouterr()
    due = int(time.time() + 0.05) + 1
    time.sleep(due - time.time() - 0.01)
    while time.time() < due:
        pass
    narrator.report(Notice("due"))
    at, told = capsys.readouterr().out.split()
    assert told == "due"
    assert at >= f"{datetime.fromtimestamp(due):%H:%M:%S}"
