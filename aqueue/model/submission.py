"""Submissions: a task or a sweep with its prerequisites, and the runs it became. Pure."""

from collections.abc import Collection, Iterable, Iterator, Sequence

import msgspec

from aqueue.model.sweep import Sweep
from aqueue.model.task import Task


class Submission(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One submission: a document of a task file, or a command.

    Attributes:
        task: the task as written.
        sweep: each of its combinations becomes a run; None: there is one run.
        after: existing runs and groups it comes after, as written.
        needs: names of tasks of the same file, or of their runs, that it needs.
        after_any: whether it starts however these end, not only if they succeed.
    """

    task: Task
    sweep: Sweep | None = None
    after: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    after_any: bool = False

    def size(self) -> int:
        """Return the number of its runs.

        Raises:
            SweepError: the sweep is invalid.
        """
        if self.sweep is None:
            return 1
        from aqueue.model.combinations import combinations

        return len(combinations(self.sweep))

    def tasks(self) -> list[Task]:
        """Return the task of each of its runs, in order.

        Those of a sweep are named `train-1`, `train-2` …, and share a group.

        Raises:
            SweepError: the sweep is invalid.
        """
        if self.sweep is None:
            return [self.task]
        # Imported here: most commands need no sweeps, and must feel instant.
        from aqueue.model.combinations import combinations

        task, group = self.task, self.task.group or self.task.name
        return [
            msgspec.structs.replace(
                task, name=f"{task.name}-{number}", group=group, params=task.params | combination
            )
            for number, combination in enumerate(combinations(self.sweep), start=1)
        ]

    def is_named_in(self, after: Collection[str]) -> bool:
        """Return True if an entry of `after` refers to its task, its group or one of its runs."""
        name, group = self.task.name, self.task.group or (self.task.name if self.sweep is not None else None)
        if name in after or (group is not None and f"group:{group}" in after):
            return True
        return self.sweep is not None and any(entry.startswith(f"{name}-") for entry in after)

    def longest_name(self) -> str:
        """Return the longest name of its runs.

        Raises:
            SweepError: the sweep is invalid.
        """
        return self.names()[-1]

    def names(self) -> list[str]:
        """Return the names that `needs` of other tasks may use."""
        if self.sweep is None:
            return [self.task.name]
        return [name for name, _ in self.by_name(range(self.size()))]

    def by_name(self, runs: Sequence[int]) -> Iterator[tuple[str, Sequence[int]]]:
        """Yield each name that `needs` of other tasks may use, with the ids of its runs."""
        yield self.task.name, runs
        if self.sweep is not None:
            yield from ((f"{self.task.name}-{number}", (run,)) for number, run in enumerate(runs, start=1))


class Accepted(msgspec.Struct, frozen=True):
    """A submission with its runs in the store.

    Attributes:
        run_ids: the ids of its runs, in order.
    """

    submission: Submission
    run_ids: tuple[int, ...]


def run_ids(accepted: Iterable[Accepted]) -> list[int]:
    """Return the ids of the runs of several submissions."""
    return [id_ for one in accepted for id_ in one.run_ids]
