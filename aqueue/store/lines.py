"""What waiting runs have before them: the statements that count it."""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence

from aqueue.model.gpu import text_of
from aqueue.model.run import NOT_YET, Run, State
from aqueue.model.server import Server
from aqueue.policy.wait_reasons import Line
from aqueue.store.runs import IS_OVER, Queries

Counted = dict[tuple[str, str, int], tuple[int, int]]
"""Up to which run each line was counted, by its queue, demand and priority, and how many go before that."""


class Lines(Queries):
    """Answers about what is remembered, as far as what keeps runs waiting is concerned."""

    def lines(
        self,
        runs: Iterable[Run],
        servers: Sequence[Server],
        configured: Container[str],
        silent: Sequence[Server] = (),
        counted: Counted | None = None,
    ) -> Iterator[Line]:
        """What each of `runs` has before it.

        Args:
            servers: those that are up.
            configured: the queues that somebody configured.
            silent: servers that are up, too, but give no sign of life.
            counted: how far a call before this one has come, in the same transaction; it is brought up to date.
        """
        runs = list(runs)
        ahead = self._ahead(runs, {} if counted is None else counted)
        running: dict[str, list[int]] = {}
        jobs: Counter[str] = Counter()
        unmet: dict[int | None, list[int]] = {}
        paused = self.paused()
        for id_, queue, server in self._execute(
            "SELECT id, queue, server FROM runs WHERE state = 'running' ORDER BY +id"
        ):
            running.setdefault(queue, []).append(id_)
            jobs[server] += queue not in configured
        for run in runs:
            if run.ready_at == NOT_YET and run.prerequisites not in unmet:
                unmet[run.prerequisites] = self._unmet(run)
            yield Line(
                servers=servers,
                ahead=ahead.get(run.id, 0),
                running=running,
                jobs=jobs,
                is_paused=run.queue in paused,
                silent=silent,
                unmet=unmet.get(run.prerequisites, []),
            )

    def _unmet(self, run: Run) -> list[int]:
        """The first runs that a run comes after and that are not over."""
        rows = self._execute(
            "SELECT id FROM prerequisite_runs AS p JOIN runs ON id = run WHERE p.prerequisites = ?"
            f" AND NOT {IS_OVER} ORDER BY id LIMIT 4",
            (run.prerequisites,),
        )
        return [id_ for (id_,) in rows]

    def _ahead(self, runs: Iterable[Run], counted: Counted) -> dict[int, int]:
        """How many go before each of the runs that are in line; those do not count that ask for other GPUs.

        From each to the next the runs in between are counted: no part of a long queue is gone through twice.
        """
        in_line = (
            "SELECT count(*) FROM runs WHERE state = 'queued' AND ready_at IS NULL AND queue = ? AND demand = ?"
        )
        ahead: dict[int, int] = {}
        for queue, demand, priority, id_ in sorted(
            (run.queue, text_of(run.task.demand), run.priority, run.id)
            for run in runs
            if run.state is State.QUEUED and run.ready_at is None
        ):
            lane = queue, demand, priority
            if lane not in counted or counted[lane][0] > id_:
                (before,) = self._execute(f"{in_line} AND priority < ?", lane).fetchone()
                counted[lane] = 0, before
            last, count = counted[lane]
            (between,) = self._execute(
                f"{in_line} AND priority = ? AND id >= ? AND id < ?", (*lane, last, id_)
            ).fetchone()
            ahead[id_] = count + between
            counted[lane] = id_, ahead[id_]
        return ahead
