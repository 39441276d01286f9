"""The output of `aqueue serve`: coloured lines on a terminal, else plain ones with times."""

import os
import sys
from datetime import datetime

import click

from aqueue.model.events import (
    Detail,
    Event,
    FileRejected,
    Notice,
    RunAborted,
    RunAccepted,
    RunEnded,
    RunStarted,
    ScheduleChanged,
)
from aqueue.model.run import State
from aqueue.units import listed_gpus, spell
from aqueue.visible import visible_line

_COLOURS = {
    "accepted": "cyan",
    "started": "blue",
    "adopted": "blue",
    "succeeded": "green",
    "failed": "red",
    "aborted": "yellow",
    "queued": "yellow",
    "rejected": "red",
    "scheduled": "cyan",
    "ended": "yellow",
    "warning": "yellow",
}


class Narrator:
    """A printer of events.

    Args:
        quiet: whether to print only events that need the user's attention.
        verbose: whether to print details, too, such as commands and pids.
    """

    def __init__(self, *, quiet: bool, verbose: bool) -> None:
        self._quiet = quiet
        self._verbose = verbose
        self._on_terminal = sys.stdout.isatty()
        self._colour = self._on_terminal and "NO_COLOR" not in os.environ
        self._broken = False

    def report(self, *events: Event) -> None:
        """Print the events that the options select, at once."""
        lines = [line for event in events if self._is_shown(event) for line in self._lines(event)]
        if lines and not self._broken:
            try:
                sys.stdout.write("".join(lines))
                sys.stdout.flush()
            except OSError:
                # The terminal or the pipe is gone, but the runs go on. Without a new file, Python would try to
                # write the rest at exit.
                self._broken = True
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _is_shown(self, event: Event) -> bool:
        if self._quiet:
            return _needs_attention(event)
        return self._verbose or not isinstance(event, Detail)

    def _lines(self, event: Event) -> list[str]:
        more = event.more if isinstance(event, FileRejected) else ()
        return [self._line(*_describe(event, self._verbose)), *(self._line("", text) for text in more)]

    def _line(self, word: str, text: str) -> str:
        text = visible_line(text)
        if not self._on_terminal:
            at = datetime.now().astimezone().isoformat(timespec="milliseconds")
            return f"{at} {word + ' ' if word else ''}{text}\n"
        shown = f"{word:<9}"
        if self._colour and word in _COLOURS:
            shown = click.style(shown, fg=_COLOURS[word])
        # time.strftime() uses a clock that lags behind the one of due times.
        at = f"{datetime.now():%H:%M:%S}"
        return f"{click.style(at, dim=True) if self._colour else at} {shown} {text}\n"


def _needs_attention(event: Event) -> bool:
    match event:
        case FileRejected():
            return True
        case Notice(urgent=urgent):
            return urgent
        case RunEnded(run=run):
            return run.state is State.FAILED
        case _:
            return False


def _describe(event: Event, verbose: bool) -> tuple[str, str]:
    match event:
        case RunAccepted(id=id_, name=name, queue=queue, source=source, held=held, sweep=count):
            where = "" if queue == name else f" in queue {queue}"
            what = f"{id_} {name}"
            if count is not None:
                what = f"{id_} {name}-1" if count == 1 else f"{id_}-{id_ + count - 1} {name}-1 … {name}-{count}"
            return "accepted", f"{what}{where} ({source}){', held' if held else ''}"
        case RunStarted(run=run, adopted=adopted):
            again = f", attempt {run.attempt}" if run.attempt > 1 else ""
            where = f" on {listed_gpus(gpu.label for gpu in run.gpus)}" if run.gpus else ""
            more = f": {_shown(run.task.command)}" if verbose else ""
            return ("adopted" if adopted else "started"), f"{run.id} {run.name}{where}{again}{more}"
        case RunEnded(run=run, seconds=seconds):
            why = f": {run.reason}" if run.reason and run.state is not State.SUCCEEDED else ""
            return str(run.state), f"{run.id} {run.name} after {spell(seconds)}{why}"
        case RunAborted(run=run):
            return "aborted", f"{run.id} {run.name}: {run.reason}"
        case ScheduleChanged(name=name, file=file, schedule=None):
            return "ended", f"schedule {name} ({file})"
        case ScheduleChanged(name=name, file=file, next_due=next_due, is_paused=is_paused):
            when = "paused" if is_paused else "never"
            if next_due is not None:
                when = f"next {datetime.fromtimestamp(next_due):%Y-%m-%d %H:%M:%S}"
            return "scheduled", f"{name}, {when} ({file})"
        case FileRejected(error=error, hint=hint, moved_to=moved_to):
            more = f"; {hint}" if hint else ""
            return "rejected", f"{error}{more} (now {moved_to})"
        case Notice(text=text, urgent=urgent):
            return ("warning" if urgent else ""), text
        case Detail(text=text):
            return "", text


def _shown(command: str | tuple[str, ...]) -> str:
    import shlex

    text = command if isinstance(command, str) else shlex.join(command)
    return text.strip().replace("\n", " ↵ ")
