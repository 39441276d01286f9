"""Runs: the statements that find them and those that forget them."""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final

from aqueue.errors import RunError
from aqueue.model.run import Attempt, Run, State
from aqueue.near_names import did_you_mean
from aqueue.store.rows import (
    ATTEMPT,
    ENDED_BY_INDEX,
    IS_OVER,
    IS_SKIPPED,
    RUNS,
    as_json,
    attempt_of,
    fetch_run,
    fetch_runs,
    in_states,
)
from aqueue.store.selection import Candidates, selection

_SLICE: Final = 1000

_OF_IDS: Final = f"{RUNS} WHERE id IN (SELECT value FROM json_each(?))"
_ATTEMPTS: Final = f"SELECT {ATTEMPT} FROM attempts WHERE run = ? AND finished_at IS NOT NULL ORDER BY number"
_CURRENT_ATTEMPTS: Final = in_states("id, attempt, state = 'running'", (State.QUEUED, State.HELD, State.RUNNING))
_GROUPS: Final = (
    # From one group to the next: DISTINCT would read all runs that have a group.
    "WITH RECURSIVE found (name) AS (SELECT min(group_name) FROM runs WHERE group_name IS NOT NULL UNION ALL"
    " SELECT (SELECT min(group_name) FROM runs WHERE group_name > found.name) FROM found"
    " WHERE found.name IS NOT NULL) SELECT name FROM found WHERE name IS NOT NULL"
)
_RECENT_NAMES: Final = "SELECT name FROM runs WHERE id > (SELECT max(id) FROM runs) - 1000"
_TAGS: Final = (
    "WITH RECURSIVE found (tag) AS (SELECT min(tag) FROM run_tags UNION ALL"
    " SELECT (SELECT min(tag) FROM run_tags WHERE tag > found.tag) FROM found WHERE found.tag IS NOT NULL)"
    " SELECT tag FROM found WHERE tag IS NOT NULL LIMIT 1000"
)
_LAST_TWO: Final = f"{RUNS} WHERE name = ? AND NOT {IS_SKIPPED} ORDER BY id DESC LIMIT 2"
_LAST_TWO_SKIPPED: Final = f"{RUNS} WHERE name = ? ORDER BY id DESC LIMIT 2"
_NEWEST_OF_GROUP: Final = (
    f"SELECT coalesce(max(iif({IS_SKIPPED}, NULL, id)), max(id)) FROM runs WHERE group_name = ? GROUP BY name"
)
_NEWEST_SUCCESS: Final = "SELECT max(id) FROM runs INDEXED BY runs_named WHERE name = ? AND state = 'succeeded'"
_UNKNOWN: Final = "SELECT value FROM json_each(?) WHERE value NOT IN (SELECT id FROM runs)"
_OF_FILE: Final = "SELECT id FROM runs WHERE source > ? AND source < ? ORDER BY id"
_OF_FILES: Final = (
    "SELECT files.value, runs.id FROM json_each(?) AS files"
    " CROSS JOIN runs ON source > files.value || ':' AND source < files.value || ';' ORDER BY runs.id"
)

_ENDED_BEFORE: Final = (
    f"SELECT id FROM runs INDEXED BY runs_ended WHERE {ENDED_BY_INDEX} AND finished_at < ?"
    " AND id NOT IN (SELECT value FROM json_each(?)) LIMIT ?"
)
_ENDED_SINCE: Final = (
    f"SELECT state, count(*) FROM runs INDEXED BY runs_ended WHERE {ENDED_BY_INDEX} AND finished_at >= ?"
    " GROUP BY state"
)
_MAY_BE_FORGOTTEN: Final = (
    f"SELECT id, source FROM runs WHERE id IN (SELECT value FROM json_each(?)) AND {IS_OVER} AND finished_at < ?"
)
_FORGET: Final = (
    f"DELETE FROM runs WHERE id IN (SELECT value FROM json_each(?)) AND {IS_OVER} RETURNING prerequisites"
)
_FORGET_PREREQUISITES: Final = (
    "DELETE FROM prerequisites WHERE id IN (SELECT value FROM json_each(?))"
    " AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.prerequisites = prerequisites.id)"
)


class Runs:
    """The stored runs.

    Args:
        transaction: a connection inside a transaction.
    """

    def __init__(self, transaction: sqlite3.Connection) -> None:
        self._transaction = transaction
        self._execute = transaction.execute

    def resolve(self, written: str) -> Run:
        """Return the run that `written` refers to: an id, NAME:RUN_ID, or a unique RUN_ID or name.

        A due time that was skipped has the name only where no other run has it.

        Raises:
            RunError: there is no such run, or there are several.
        """
        if (id_ := _id(written)) is not None and (run := self.get(id_)):
            return run
        name, colon, run_id = written.rpartition(":")
        if colon:
            found = self._fetch(f"{RUNS} WHERE name = ? AND run_id = ?", name, run_id)
        else:
            found = self._fetch(f"{RUNS} WHERE run_id = ? LIMIT 2", written)
        if len(found) > 1:
            raise RunError(f"several runs have the run-id {written}", "use NAME:RUN_ID")
        found = found or self._last_two(written)
        if not found:
            shown = written if written.isdecimal() else f"'{written}'"
            hint = "`aqueue ls` lists the runs"
            raise RunError(f"there is no run {shown}", did_you_mean(name or written, self.recent_names(), hint))
        if len(found) > 1:
            raise RunError(f"several runs are named {written}", f"use its id; the newest is {found[0].id}")
        return found[0]

    def recent_names(self) -> set[str]:
        """Return the names of the latest runs."""
        return {name for (name,) in self._execute(_RECENT_NAMES)}

    def get(self, id_: int) -> Run | None:
        """Return the run with this id; None if there is none."""
        return fetch_run(self._transaction, f"{RUNS} WHERE id = ?", (id_,))

    def newest(self, written: str) -> int | None:
        """Return the id of the run with this id, or else of the newest with this name; None if there is none.

        A due time that was skipped is not the newest run, unless there is no other.
        """
        if (id_ := _id(written)) is not None and (run := self.get(id_)):
            return run.id
        return next((run.id for run in self._last_two(written)), None)

    def newest_success(self, name: str) -> int | None:
        """Return the id of the newest run with a name that succeeded; None if there is none."""
        found: tuple[int | None] = self._execute(_NEWEST_SUCCESS, (name,)).fetchone()
        return found[0]

    def newest_of_group(self, group: str) -> list[int]:
        """Return the id of the newest run of each name in a group; see `newest`."""
        rows = self._execute(_NEWEST_OF_GROUP, (group,))
        return [id_ for (id_,) in rows]

    def attempts(self, run: Run) -> list[Attempt]:
        """Return all attempts of a run, oldest first."""
        attempts = [attempt_of(row) for row in self._execute(_ATTEMPTS, (run.id,))]
        if run.state is State.RUNNING:
            attempts.append(
                Attempt(
                    number=run.attempt,
                    started_at=run.started_at or 0.0,
                    finished_at=None,
                    exit_code=None,
                    signal=None,
                    reason=None,
                    gpus=run.gpus,
                )
            )
        return attempts

    def select(
        self,
        *,
        states: Collection[State] = (),
        queue: str | None = None,
        tag: str | None = None,
        group: str | None = None,
        since: float | None = None,
        candidates: Candidates | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[Run]:
        """Return the runs that meet all conditions, in the order of their ids."""
        ids = self.ids(
            states=states,
            queue=queue,
            tag=tag,
            group=group,
            since=since,
            candidates=candidates,
            limit=limit,
            newest_first=newest_first,
        )
        return list(self.each(ids))

    def ids(
        self,
        *,
        states: Collection[State] = (),
        queue: str | None = None,
        tag: str | None = None,
        group: str | None = None,
        since: float | None = None,
        candidates: Candidates | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> list[int]:
        """Return the ids of the runs that meet all conditions, in order."""
        chosen, values = selection(states, queue, tag, group, since, candidates)
        order = "DESC" if newest_first else "ASC"
        statement = f"SELECT id FROM ({chosen}) ORDER BY id {order} LIMIT :limit"
        return [id_ for (id_,) in self._execute(statement, values | {"limit": -1 if limit is None else limit})]

    def in_slices(self, ids: Sequence[int]) -> Iterator[list[Run]]:
        """Yield the runs with these ids in order, in slices that take little memory."""
        for start in range(0, len(ids), _SLICE):
            wanted = ids[start : start + _SLICE]
            by_id = {run.id: run for run in self._fetch(_OF_IDS, as_json(wanted))}
            yield [by_id[id_] for id_ in wanted]

    def each(self, ids: Sequence[int]) -> Iterator[Run]:
        """Yield the runs with these ids one by one."""
        return chain.from_iterable(self.in_slices(ids))

    def count(
        self,
        *,
        states: Collection[State] = (),
        queue: str | None = None,
        tag: str | None = None,
        group: str | None = None,
        since: float | None = None,
    ) -> int:
        """Return the number of runs that meet all conditions."""
        chosen, values = selection(states, queue, tag, group, since)
        (count,) = self._execute(f"SELECT count(*) FROM ({chosen})", values).fetchone()
        return int(count)

    def groups(self) -> list[str]:
        """Return the names of the groups that have runs, in order."""
        return [name for (name,) in self._execute(_GROUPS)]

    def tags(self) -> list[str]:
        """Return the tags of runs in order; of very many, the first."""
        return [tag for (tag,) in self._execute(_TAGS)]

    def ended(self, ids: Iterable[int]) -> tuple[list[Run], list[int]]:
        """Return the runs that are over, and the ids of those that no longer exist."""
        written = as_json(ids)
        over = self._fetch(f"{_OF_IDS} AND {IS_OVER} ORDER BY finished_at", written)
        return over, [id_ for (id_,) in self._execute(_UNKNOWN, (written,))]

    def ended_since(self, moment: float) -> dict[State, int]:
        """Return how many runs ended in each state at this time or later."""
        return {State(state): count for state, count in self._execute(_ENDED_SINCE, (moment,))}

    def current_attempts(self) -> dict[int, tuple[int, bool]]:
        """Return the last attempt number of each unfinished run, and whether the attempt is running."""
        return {id_: (attempt, bool(is_running)) for id_, attempt, is_running in self._execute(_CURRENT_ATTEMPTS)}

    def in_state(self, state: State) -> list[Run]:
        """Return the runs in a state, in the order of their ids."""
        return self.select(states=[state])

    def source(self, run: Run) -> str | None:
        """Return the document of the dropped file that a run comes from; None if it was not dropped."""
        found = self._execute("SELECT source FROM runs WHERE id = ?", (run.id,)).fetchone()
        return None if found is None else found[0]

    def of_file(self, name: str) -> list[int]:
        """Return the ids of the runs of a dropped file, by its name in `incoming/`."""
        return [id_ for (id_,) in self._execute(_OF_FILE, (f"{name}:", f"{name};"))]

    def of_files(self, names: Iterable[str]) -> dict[str, list[int]]:
        """Return the ids of the runs of dropped files, by name in `incoming/`; nothing for unknown files."""
        found: dict[str, list[int]] = {}
        for name, id_ in self._execute(_OF_FILES, (as_json(names),)):
            found.setdefault(name, []).append(id_)
        return found

    def last_id(self) -> int:
        """Return the highest id ever assigned."""
        (last,) = self._execute("SELECT coalesce(max(seq), 0) FROM sqlite_sequence").fetchone()
        return int(last)

    # Forgetting

    def ended_before(self, moment: float, limit: int, without: Iterable[int] = ()) -> list[int]:
        """Return the ids of at most `limit` runs that ended before `moment`, except those in `without`."""
        return [id_ for (id_,) in self._execute(_ENDED_BEFORE, (moment, as_json(without), limit))]

    def forget_ended(self, ids: Iterable[int], moment: float, is_incoming: Callable[[str], bool]) -> list[int]:
        """Forget the runs among `ids` that ended before `moment`, and return their ids.

        Args:
            is_incoming: returns True if a file with this name is in `incoming/`. Its runs are kept: a file whose
                run is forgotten would become a run again.
        """
        rows = self._execute(_MAY_BE_FORGOTTEN, (as_json(ids), moment))
        old = [id_ for id_, source in rows if not (source and is_incoming(source.rpartition(":")[0]))]
        self.forget(old)
        return old

    def forget(self, ids: Iterable[int]) -> None:
        """Remove ended runs with their attempts."""
        forgotten = self._execute(_FORGET, (as_json(ids),)).fetchall()
        sets = {set_ for (set_,) in forgotten if set_ is not None}
        self._execute(_FORGET_PREREQUISITES, (as_json(sets),))

    def _last_two(self, name: str) -> list[Run]:
        """Return the newest two runs with a name; due times that were skipped only where there are no others."""
        return self._fetch(_LAST_TWO, name) or self._fetch(_LAST_TWO_SKIPPED, name)

    def _fetch(self, sql: str, *values: Any) -> list[Run]:
        return fetch_runs(self._transaction, sql, values)


def _id(written: str) -> int | None:
    """Return `written` as an id; None if it is not one."""
    return int(written) if written.isascii() and written.isdigit() and len(written) < 19 else None
