"""The command of each of several runs in a few words: by the params in which it differs from runs like it."""

from collections.abc import Hashable, Sequence

from aqueue.client.columns import command_of
from aqueue.model.run import Run
from aqueue.model.values import plain_text


def summaries(runs: Sequence[Run]) -> tuple[str, list[str]]:
    """Return a heading, and for each run the params that differ among runs like it, else its command.

    Runs are like each other if they have the same command, and the same group or name.
    """
    alike: dict[Hashable, list[Run]] = {}
    for run in runs:
        alike.setdefault(_kind(run), []).append(run)
    differing = {kind: _differing(some) for kind, some in alike.items()}
    texts, are_params = [], bool(runs)
    for run in runs:
        params = run.task.params
        pairs = [f"{key}={plain_text(params[key])}" for key in differing[_kind(run)] if key in params]
        are_params = are_params and bool(pairs)
        texts.append(" ".join(pairs) or command_of(run).replace("\n", " ↵ "))
    return "PARAMS" if are_params else "COMMAND", texts


def _kind(run: Run) -> Hashable:
    return run.task.group or run.name, run.task.command


def _differing(runs: Sequence[Run]) -> list[str]:
    """Return the params in which runs differ; all params of a single run."""
    keys = dict.fromkeys(key for run in runs for key in run.task.params)
    # Compared as text, because NaN is not equal to itself, and 1 equals True.
    return [key for key in keys if len(runs) == 1 or len({repr(run.task.params.get(key)) for run in runs}) > 1]
