"""Progress and probable starts, worded for people."""

from aqueue.client.forecasts import Forecast, GroupProgress
from aqueue.model.progress import Progress, Report, Source
from aqueue.model.run import State
from aqueue.units import spell, spell_about
from aqueue.visible import visible_line


def progress_in_words(progress: Progress | None) -> str:
    """Return progress such as `30% (3/10), 12m left, training`; empty if nothing is known."""
    if progress is None:
        return ""
    if progress.report is None:
        return "" if progress.usual is None else f"usually {spell(progress.usual)}"
    parts = [_share(progress.report)]
    parts += [f"{spell_about(progress.left)} left"] if progress.left is not None else []
    parts += [visible_line(progress.report.text)] if progress.report.text else []
    return ", ".join(parts)


def start_in_words(seconds: float | None) -> str:
    """Return a probable start such as `in ~9m`; empty if it is unknown."""
    return "" if seconds is None else f"in ~{spell_about(seconds)}"


def forecast_in_words(forecast: Forecast) -> str:
    """Return the progress of a run, or when it probably starts; empty if nothing is known."""
    start = start_in_words(forecast.starts_in)
    return progress_in_words(forecast.progress) or (start and f"starts {start}")


def group_in_words(group: GroupProgress) -> str:
    """Return the progress of a group such as `23/40, 2 failed, 12m left`."""
    parts = [f"{group.ended}/{group.states.total()}"]
    parts += [f"{group.states[state]} {state}" for state in (State.FAILED, State.ABORTED) if group.states[state]]
    parts += [f"{spell_about(group.left)} left"] if group.left is not None else []
    return ", ".join(parts)


def _share(report: Report) -> str:
    counts = ""
    if report.done is not None and report.total is not None and report.source is not Source.BAR:
        counts = f" ({report.done:.15g}/{report.total:.15g})"
    # The end is only reached at the end.
    return f"{min(int(report.fraction * 100 + 1e-9), 100)}%{counts}"
