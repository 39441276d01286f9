"""The outbox: messages that are recorded with what they tell of, and kept until they are sent.

The transaction that records the end of a run also records a message for each target that is told of it. A server
claims a message before it sends it, so of several servers one sends it. A claim is valid until `due_at`, and only
while its server is up: a message whose server died is sent by the next one, perhaps again, with the same id.
"""

import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

import msgspec

from aqueue.model.notification import Event, Kind, Message, Target
from aqueue.model.run import ENDED, Run, State
from aqueue.policy import messages, notifications
from aqueue.policy.messages import Member
from aqueue.policy.notifications import HOUR, Pending, wanted
from aqueue.store.rows import RUNS, as_json, fetch_run, metrics_of

LEASE_SECONDS: Final = 60.0
"""The seconds after which a claimed message counts as not sent; longer than sending it may take."""

_KEPT_SECONDS: Final = 7 * 86400.0
"""The seconds for which a message that was given up is kept."""

_ADD: Final = "INSERT INTO outbox (target, message, created_at, due_at) VALUES (?, ?, ?, ?) RETURNING id"
_WATCH: Final = (
    "INSERT INTO watched_groups (name, since) VALUES (?, ?)"
    " ON CONFLICT DO UPDATE SET since = min(since, excluded.since)"
)
_OVER: Final = (
    "DELETE FROM watched_groups WHERE NOT EXISTS (SELECT 1 FROM runs INDEXED BY runs_in_open_group"
    " WHERE group_name IS NOT NULL AND group_name = watched_groups.name AND state IN ('queued', 'running'))"
    " RETURNING name, since"
)
_MEMBERS: Final = (
    "SELECT id, name, state, reason, started_at, metrics FROM runs WHERE group_name = ? AND finished_at >= ?"
    " ORDER BY id"
)
_PENDING: Final = (
    "SELECT target, outbox.id, due_at, tries, servers.id IS NOT NULL, claimed_by IS NOT NULL FROM outbox"
    " LEFT JOIN servers ON servers.id = claimed_by WHERE due_at IS NOT NULL ORDER BY outbox.id"
)
_CLAIM: Final = (
    "UPDATE outbox SET tries = tries + 1, claimed_by = ?, due_at = ? WHERE id = ?"
    " RETURNING id, target, message, tries"
)
_SENT: Final = "UPDATE outbox SET sent_at = ?, due_at = NULL, claimed_by = NULL, error = NULL WHERE id = ?"
_FAILED: Final = "UPDATE outbox SET due_at = ?, claimed_by = NULL, error = ? WHERE id = ? AND sent_at IS NULL"
_GIVE_UP: Final = "UPDATE outbox SET due_at = NULL, claimed_by = NULL, error = ? WHERE id = ?"
_FORGET: Final = "DELETE FROM outbox WHERE due_at IS NULL AND iif(sent_at IS NULL, created_at < ?, sent_at < ?)"


class Claimed(NamedTuple):
    """A message to send.

    Attributes:
        id: its id in the outbox.
        target: the name of its target.
        tries: the number of this try, from 1.
    """

    id: int
    target: str
    message: Message
    tries: int


class Undelivered(NamedTuple):
    """A message that is not sent yet, or was given up.

    Attributes:
        due_at: when it is tried next; None if it was given up.
        error: why the last try failed.
    """

    target: str
    message: Message
    due_at: float | None
    tries: int
    error: str | None


class Outbox:
    """The messages of a folder.

    Args:
        transaction: a connection inside a transaction; a writing one for all changes.
    """

    def __init__(self, transaction: sqlite3.Connection) -> None:
        self._transaction = transaction
        self._execute = transaction.execute

    # Recording

    def record(self, targets: Sequence[Target], started: Iterable[Run], ended: Iterable[Run], now: float) -> int:
        """Record the messages about runs, as far as a target is told of them.

        Args:
            started: runs that were claimed.
            ended: runs with an attempt that has ended; those that are tried again are passed over.

        Returns:
            the number of messages.
        """
        added = 0
        checks = [target for target in targets if target.kind is Kind.HEALTHCHECK]
        for run in started if checks else ():
            if run.failures == run.losses == 0 and run.task.group is None:
                told = [target for target in checks if wanted(target, run.task.notify)]
                added += self._add_all(
                    {target.name: Event.STARTED for target in told}, partial(messages.of_run, run), now
                )
        for run in ended:
            told = [target for target in targets if wanted(target, run.task.notify)]
            if not told or run.state not in ENDED:
                continue
            if run.task.group is not None:
                self._execute(_WATCH, (run.task.group, run.finished_at))
            else:
                added += self._record_end(run, told, now)
        return added

    def record_groups(self, targets: Sequence[Target], now: float) -> int:
        """Record the messages about groups of which nothing is queued or running any more.

        Returns:
            the number of messages.
        """
        return sum(
            self._record_group(name, since, targets, now) for name, since in self._execute(_OVER).fetchall()
        )

    def add(self, target: str, message: Message, now: float) -> int:
        """Add a message that is due now, and return its id in the outbox."""
        text = msgspec.json.encode(message).decode()
        (id_,) = self._execute(_ADD, (target, text, now, now)).fetchone()
        return int(id_)

    def _record_end(self, run: Run, told: Sequence[Target], now: float) -> int:
        events = {target.name: wanted(target, run.task.notify) for target in told}
        was_failing = self._was_failing(f"run {run.name}", run.state, events.values(), now)
        found = {
            target: notifications.event_of_run(run.state, some, was_failing=was_failing)
            for target, some in events.items()
        }
        return self._add_all(found, partial(messages.of_run, run), now)

    def _record_group(self, name: str, since: float, targets: Sequence[Target], now: float) -> int:
        rows = self._execute(_MEMBERS, (name, since)).fetchall()
        last = fetch_run(self._transaction, f"{RUNS} WHERE id = ?", (rows[-1][0],)) if rows else None
        if last is None:
            # They were pruned or retried meanwhile.
            return 0
        members = [
            Member(member, State(state), reason, started_at, metrics_of(metrics))
            for _, member, state, reason, started_at, metrics in rows
        ]
        state = messages.state_of_group(member.state for member in members)
        events = {target.name: wanted(target, last.task.notify) for target in targets}
        was_failing = self._was_failing(f"group {name}", state, events.values(), now)
        found = {
            target: Event.GROUP if notifications.tells_of_group(state, some, was_failing=was_failing) else None
            for target, some in events.items()
        }
        return self._add_all(found, lambda _, at, id_: messages.of_group(name, members, at, id_), now)

    def _add_all(
        self, events: Mapping[str, Event | None], make: Callable[[Event, float, str], Message], now: float
    ) -> int:
        """Add a message for each target with an event; all have the same id."""
        id_ = os.urandom(16).hex()
        told = [(target, event) for target, event in events.items() if event is not None]
        for target, event in told:
            self.add(target, make(event, now, id_), now)
        return len(told)

    def _was_failing(self, unit: str, state: State, events: Iterable[Collection[Event]], now: float) -> bool:
        """Return True if a run or group failed the last time, and remember how it ended now.

        Nothing is remembered where nobody is told of recoveries.
        """
        if state is State.ABORTED or not any(Event.RECOVERED in some for some in events):
            return False
        if state is State.FAILED:
            self._execute("INSERT OR REPLACE INTO failing (unit, since) VALUES (?, ?)", (unit, now))
            return True
        return bool(self._execute("DELETE FROM failing WHERE unit = ? RETURNING unit", (unit,)).fetchall())

    # Sending

    def claim(self, server: str, targets: Sequence[Target], now: float) -> tuple[list[Claimed], float | None]:
        """Claim what is to be sent now, at most one message for each target.

        Returns:
            the claimed messages, and when to look again if nothing comes before; None: nothing is left.
        """
        self._execute(_FORGET, (now - _KEPT_SECONDS, now - HOUR))
        pending: dict[str, list[Pending]] = {}
        for target, id_, due_at, tries, is_alive, is_claimed in self._execute(_PENDING).fetchall():
            # Nobody sends it any more if its server is gone.
            due = now if is_claimed and not is_alive else due_at
            pending.setdefault(target, []).append(Pending(id_, due, tries, bool(is_alive)))
        by_name = {target.name: target for target in targets}
        claimed, times = [], []
        for name, some in pending.items():
            if (target := by_name.get(name)) is None:
                for one in some:
                    self._execute(_GIVE_UP, ("aqueue.yaml has no such target any more", one.id))
                continue
            step = notifications.next_step(
                some, self._sent_at(name), now, is_limited=target.kind is not Kind.HEALTHCHECK
            )
            if step.send:
                claimed.append(self._claim(server, name, step.send, now))
                times.append(now + LEASE_SECONDS)
            elif step.next_at is not None:
                times.append(step.next_at)
        return claimed, min(times, default=None)

    def sent(self, id_: int, now: float) -> None:
        """Record that a message was sent."""
        self._execute(_SENT, (now, id_))

    def failed(self, one: Claimed, error: str, now: float) -> float | None:
        """Record that a message could not be sent.

        Returns:
            when it is tried again; None if it is given up.
        """
        delay = notifications.seconds_before_try(one.tries)
        due_at = None if delay is None else now + delay
        self._execute(_FAILED, (due_at, error, one.id))
        return due_at

    def forget(self, before: float) -> None:
        """Forget which runs and groups failed the last time, if that was before a time."""
        self._execute("DELETE FROM failing WHERE since < ?", (before,))

    def undelivered(self) -> Iterator[Undelivered]:
        """Yield the messages that are not sent yet or were given up, oldest first."""
        rows = self._execute(
            "SELECT target, message, due_at, tries, error FROM outbox WHERE sent_at IS NULL ORDER BY id"
        )
        for target, message, *rest in rows.fetchall():
            yield Undelivered(target, msgspec.json.decode(message, type=Message), *rest)

    def _sent_at(self, target: str) -> list[float]:
        rows = self._execute("SELECT sent_at FROM outbox WHERE target = ? AND sent_at IS NOT NULL", (target,))
        return [at for (at,) in rows]

    def _claim(self, server: str, target: str, ids: Sequence[int], now: float) -> Claimed:
        id_ = ids[0] if len(ids) == 1 else self._bundle(target, ids, now)
        row = self._execute(_CLAIM, (server, now + LEASE_SECONDS, id_)).fetchone()
        return Claimed(row[0], row[1], msgspec.json.decode(row[2], type=Message), row[3])

    def _bundle(self, target: str, ids: Sequence[int], now: float) -> int:
        """Replace messages by one that holds them all, and return its id in the outbox."""
        rows = self._execute(
            "DELETE FROM outbox WHERE id IN (SELECT value FROM json_each(?)) RETURNING id, message",
            (as_json(ids),),
        ).fetchall()
        messages = [msgspec.json.decode(text, type=Message) for _, text in sorted(rows)]
        return self.add(
            target,
            Message(id=os.urandom(16).hex(), event=Event.BUNDLE, at=messages[-1].at, messages=tuple(messages)),
            now,
        )
