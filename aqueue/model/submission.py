"""Submissions: one run, or all those of a sweep, and the runs that they come after; and what they became. Pure."""

from collections.abc import Collection, Iterable, Iterator, Sequence

import msgspec

from aqueue.model.sweep import Sweep
from aqueue.model.task import Task


class Submission(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One submission: a document of a task file, or a command.

    Attributes:
        task: as it is written.
        sweep: each of its combinations becomes a run; None: there is one run.
        after: runs and groups that are known already, as they are written.
        needs: tasks of the same file, or runs of them, by their names.
        after_any: whether the runs start however those have ended, not only when they have succeeded.
    """

    task: Task
    sweep: Sweep | None = None
    after: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    after_any: bool = False

    def size(self) -> int:
        """Return how many runs it makes.

        Raises:
            SweepError: its sweep makes no sense.
        """
        if self.sweep is None:
            return 1
        from aqueue.model.combinations import combinations

        return len(combinations(self.sweep))

    def tasks(self) -> list[Task]:
        """Return what each of its runs executes, in the order of the runs.

        Those of a sweep are named `train-1`, `train-2` …, and have a group in common.

        Raises:
            SweepError: its sweep makes no sense.
        """
        if self.sweep is None:
            return [self.task]
        # Imported here: most commands have nothing to do with sweeps, and are to be instant.
        from aqueue.model.combinations import combinations

        task, group = self.task, self.task.group or self.task.name
        return [
            msgspec.structs.replace(
                task, name=f"{task.name}-{number}", group=group, params=task.params | combination
            )
            for number, combination in enumerate(combinations(self.sweep), start=1)
        ]

    def is_named_in(self, after: Collection[str]) -> bool:
        """Return True if one of these entries of `after` means its task, its group, or one of its runs."""
        name, group = self.task.name, self.task.group or (self.task.name if self.sweep is not None else None)
        if name in after or (group is not None and f"group:{group}" in after):
            return True
        return self.sweep is not None and any(entry.startswith(f"{name}-") for entry in after)

    def last_name(self) -> str:
        """Return the name of its last run, than which none is longer.

        Raises:
            SweepError: its sweep makes no sense.
        """
        return self.names()[-1]

    def names(self) -> list[str]:
        """Return the names by which other tasks of its file may need its runs."""
        if self.sweep is None:
            return [self.task.name]
        return [name for name, _ in self.by_name(range(self.size()))]

    def by_name(self, runs: Sequence[int]) -> Iterator[tuple[str, Sequence[int]]]:
        """Yield each name by which other tasks of its file may need its runs, with the ids of those runs."""
        yield self.task.name, runs
        if self.sweep is not None:
            yield from ((f"{self.task.name}-{number}", (run,)) for number, run in enumerate(runs, start=1))


class Accepted(msgspec.Struct, frozen=True):
    """A submission that is in the store.

    Attributes:
        run_ids: the ids of its runs, in their order.
    """

    submission: Submission
    run_ids: tuple[int, ...]


def run_ids(accepted: Iterable[Accepted]) -> list[int]:
    """Return the ids of the runs that all of these became."""
    return [id_ for one in accepted for id_ in one.run_ids]
