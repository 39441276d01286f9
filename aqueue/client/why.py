"""The reason why a run waits or failed: the facts, the diagnosis, and what differs from a run that succeeded."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from aqueue.client.session import Warn, present, reading
from aqueue.client.wait_reasons import waits
from aqueue.executors.output_tail import read_tail
from aqueue.folder.layout import Folder
from aqueue.model.diagnosis import Cause, Diagnosis, Facts
from aqueue.model.run import Attempt, Run, State
from aqueue.policy import error_lines
from aqueue.policy.diagnosis import diagnose
from aqueue.policy.run_differences import Difference, differences, nearest
from aqueue.store.store import Store

_TAIL: Final = 1 << 16
_MAX_CANDIDATES: Final = 500
"""The number of successes of a group, from the newest, among which the nearest is searched."""

_MIN_USUAL: Final = 3
_MAX_USUAL: Final = 20
"""The numbers of successes whose median duration is called usual."""

_MAX_AFTER: Final = 20
_AROUND: Final = 3
_MAX_EXCERPT: Final = 40
_LAST: Final = 10
"""The numbers of lines of an excerpt: around a traceback, at most, and without one."""


class Comparison(NamedTuple):
    """A run that succeeded, and what is different now.

    Attributes:
        code: the files that differ, as `git diff --stat` shows them; None if unknown, or none do.
    """

    run: Run
    is_of_group: bool
    differences: Sequence[Difference]
    code: str | None


class Explanation(NamedTuple):
    """The reason for the state of a run.

    Attributes:
        attempt: the attempt that failed; None if none did.
        log: the path of its output.
        lines: the lines of its output that tell the most.
        comparison: with the nearest success; None if nothing failed, or none is known.
    """

    run: Run
    diagnosis: Diagnosis
    attempt: Attempt | None
    log: Path | None
    lines: Sequence[str]
    comparison: Comparison | None


def explain(folder: Folder, written: str, warn: Warn) -> Explanation:
    """Return why a run waits or failed.

    Args:
        warn: is told of an error in the configuration.

    Raises:
        RunError: there is none, or several are meant.
    """
    with reading(folder) as store:
        run = store.runs.resolve(written)
        attempts = store.runs.attempts(run)
        (wait,) = waits(store, folder, [run], warn)
        after = store.dependencies.prerequisites(run)[:_MAX_AFTER]
        failed = _last_failed(attempts)
        similar = _successes(store, run)
        facts = Facts(
            run=run,
            now=present(store),
            attempts=attempts,
            failed=failed,
            wait=wait,
            after=[*zip(after, waits(store, folder, after, warn), strict=True)],
            usual_seconds=_usual(similar),
        )
        success = nearest(run, similar) if failed is not None else None
        its_attempts = store.runs.attempts(success) if success is not None else []
    if failed is None:
        return Explanation(run, diagnose(facts), None, None, (), None)
    log = folder.log(run.id, failed.number)
    tail = read_tail(log, _TAIL)
    lines = error_lines.lines_of(tail.text)
    facts = msgspec.structs.replace(facts, lines=lines, written_at=tail.written_at)
    diagnosis = diagnose(facts)
    if diagnosis.cause is Cause.DISK_FULL:
        diagnosis = diagnose(msgspec.structs.replace(facts, free=_free(folder, run)))
    comparison = None if success is None or not its_attempts else _compared(success, its_attempts[-1], run, failed)
    return Explanation(run, diagnosis, failed, log if log.exists() else None, _excerpt(lines), comparison)


def _last_failed(attempts: Sequence[Attempt]) -> Attempt | None:
    ended = [attempt for attempt in attempts if attempt.finished_at is not None]
    return ended[-1] if ended and ended[-1].reason is not None else None


def _successes(store: Store, run: Run) -> list[Run]:
    """Return the newest successes of the run's group; else that of its name."""
    group = run.task.group
    if group is not None:
        ids = store.runs.ids(states=[State.SUCCEEDED], group=group, limit=_MAX_CANDIDATES, newest_first=True)
        if found := [*store.runs.each(ids)]:
            return found
    id_ = store.runs.newest_success(run.name)
    found_run = None if id_ is None else store.runs.get(id_)
    return [] if found_run is None else [found_run]


def _usual(successes: Sequence[Run]) -> float | None:
    took = [run.took for run in successes[:_MAX_USUAL] if run.took is not None]
    if len(took) < _MIN_USUAL:
        return None
    # Imported here: it is slow to load.
    from statistics import median

    return median(took)


def _compared(success: Run, its_attempt: Attempt, run: Run, attempt: Attempt) -> Comparison:
    is_of_group = run.task.group is not None and success.task.group == run.task.group
    found = differences((success, its_attempt), (run, attempt))
    return Comparison(success, is_of_group, found, _code(success, run))


def _code(before: Run, after: Run) -> str | None:
    first, second = before.task.snapshot, after.task.snapshot
    if first is None or second is None or first.commit == second.commit or first.repository != second.repository:
        return None
    # Imported here: few runs have such code.
    from aqueue.isolation.commits import changes

    return changes(second.repository, first.commit, second.commit)


def _excerpt(lines: Sequence[str]) -> Sequence[str]:
    """Return the lines around the last traceback or error; else the last lines."""
    error = error_lines.find(lines)
    if error is None:
        return ()
    if not error.is_error:
        return _without_blanks(lines[max(error.last + 1 - _LAST, 0) : error.last + 1])
    chosen = _without_blanks(lines[max(error.first - _AROUND, 0) : error.last + 1 + _AROUND])
    if len(chosen) > _MAX_EXCERPT:
        half = _MAX_EXCERPT // 2
        return [*chosen[:half], f"… {len(chosen) - 2 * half} lines …", *chosen[-half:]]
    return chosen


def _without_blanks(lines: Sequence[str]) -> Sequence[str]:
    """Return lines without the blank ones at both ends."""
    filled = [index for index, line in enumerate(lines) if line.strip()]
    return lines[filled[0] : filled[-1] + 1] if filled else ()


def _free(folder: Folder, run: Run) -> list[tuple[str, int]]:
    """Return the free bytes on the disks that a run uses."""
    found: dict[int, tuple[str, int]] = {}
    for path in (run.task.working_dir, str(folder.state), os.environ.get("TMPDIR", "/tmp")):  # noqa: S108 - its default
        try:
            device, status = Path(path).stat().st_dev, os.statvfs(path)
        except OSError:
            continue
        found.setdefault(device, (path, status.f_bavail * status.f_frsize))
    return [*found.values()]
