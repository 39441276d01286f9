"""Which runs are started next: the statements that give runs, and their cards, to a server.

The runs that may be started stand in lines, one for each queue and each demand for GPUs in it. Of the first of all
lines that are open, the best goes next. Where it cannot have its cards, none can that asks for the same; the
others go on without that line, but for the cards that were set aside for it.
"""

from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Sequence
from heapq import heappop, heappush
from typing import Final, NamedTuple

import msgspec

from aqueue.model.claim import NO_VIEW, ClaimResult, GpuView
from aqueue.model.gpu import Allocation, GpuReading, GpuRequest
from aqueue.model.run import Run
from aqueue.policy.gpu_placement import Allocator, Blocked, Placed, Reservation, with_doubts
from aqueue.policy.limits import Limits, Openings, Usage
from aqueue.store.gpus import DIRECT
from aqueue.store.runs import ALL, as_json
from aqueue.store.servers import Servers

_demand_decoder = msgspec.json.Decoder(GpuRequest)

_CLAIM: Final = (
    "UPDATE runs SET state = 'running', reason = NULL, attempt = attempt + 1, ready_at = NULL,"
    " started_at = ?, finished_at = NULL, exit_code = NULL, signal = NULL, server = ?, cards = ?,"
    " took = NULL"
    f" WHERE id = ? RETURNING {ALL}"
)

_READY: Final = "state = 'queued' AND ready_at IS NOT NULL AND ready_at <= ?"

_FEW: Final = 8
"""Of how many queues a statement has a placeholder for each: json_each takes as long as all the rest of it."""

_NO_CARDS: Final = Placed(())


class Turn(NamedTuple):
    """A run that is first in its line, and what it gets."""

    priority: int
    run: int
    queue: str
    asked: GpuRequest | None
    found: Placed | Blocked


class Claims(Servers):
    """What aqueue remembers, as far as runs are given to servers.

    Args:
        connection: inside a transaction that may write.
    """

    def claim(self, server: str, limits: Limits, now: float, sight: GpuView = NO_VIEW) -> ClaimResult:
        """Give `server` the runs that may start now, with the cards they ask for; none once it is to leave."""
        is_leaving, is_ready = self._execute(
            "SELECT EXISTS (SELECT 1 FROM servers WHERE id = ? AND leaving IS NOT NULL),"
            f" EXISTS (SELECT 1 FROM runs WHERE {_READY})",
            (server, now),
        ).fetchone()
        if is_leaving:
            # It may not have heard of that yet.
            return ClaimResult([], sight.look)
        if is_ready:
            # To ask first takes a quarter of the time of an update that finds nothing.
            self._execute(f"UPDATE runs SET ready_at = NULL WHERE {_READY}", (now,))
        usage = self.usage(server, limits)
        look = self._remember_look(server, sight, limits, now) if sight.is_news else sight.look
        (asks_for_cards,) = self._execute("SELECT EXISTS (SELECT 1 FROM heads WHERE demand > '')").fetchone()
        if not asks_for_cards and not limits.disabled_by:
            return ClaimResult(self._claim_without_cards(server, limits, usage, now), look)
        demands = self.demands()
        board = self.board(look, limits, now)
        claimed: list[Run] = []
        blocked: list[Blocked] = []
        lacking: list[tuple[int, str]] = []
        kept: list[Reservation] = []
        others = self.set_aside_by_others(server, now)
        # Once queues are enabled again, direct runs wait for their turn as all others do.
        for direct in (True, False) if limits.disabled_by else (False,):
            turns = self.turns(usage, limits, board, demands, others, direct=direct, keeps_slots=sight.is_prompt)
            for turn in turns:
                if isinstance(turn.found, Placed):
                    held = [card.held for card in turn.found.cards]
                    claimed.append(self._claim(server, turn.run, held, now))
                else:
                    blocked.append(turn.found)
                    if turn.asked is not None:
                        kept += board.set_aside_for(turn.run, turn.priority, turn.asked)
                    if turn.found.lack:
                        lacking.append((turn.run, turn.found.lack))
        text = as_json(kept) if kept else None
        self._execute("UPDATE servers SET set_aside = ? WHERE id = ? AND set_aside IS NOT ?", (text, server, text))
        return ClaimResult(
            claimed,
            look,
            needs_look=any(found.needs_look for found in blocked),
            is_vetoed=any(found.is_vetoed for found in blocked),
            lacking=tuple(lacking),
        )

    def board(self, look: GpuReading | None, limits: Limits, now: float) -> Allocator:
        """The cards of a server, with all that is known of them."""
        return Allocator(look, self.leases(), self.freed_at(), limits.rules, limits.owns, now)

    def turns(
        self,
        usage: Usage,
        limits: Limits,
        board: Allocator,
        demands: Sequence[str],
        others: Sequence[Reservation] = (),
        *,
        direct: bool = False,
        keeps_slots: bool = True,
        only_looking: bool = False,
    ) -> Iterator[Turn]:
        """The runs whose turn it is, the best first, with the cards they get or why they get none.

        Whoever goes through them starts those that are given what they ask for, before taking the next.

        Args:
            usage: is counted up as runs are given away.
            board: cards are given away on it.
            demands: all that there are.
            others: what other servers keep for runs that wait, in the order of their turns.
            direct: only runs that do not have to wait for a slot.
            keeps_slots: whether a run that only needs a look keeps others from its slot: without that, a line of
                runs that need no cards would be faster every time.
            only_looking: nobody starts them; of each demand only one is given anything then.
        """
        lines = DIRECT if direct else "heads"
        # Queues that are confined to some cards are few, and each of them is asked by itself.
        confined = {name for name, queue in limits.queues.items() if queue.gpus is not None}
        closed: dict[str, set[str]] = defaultdict(set)
        given_up: set[str] = set()
        openings = usage.openings_for_direct(limits) if direct else usage.openings(limits)
        firsts: list[tuple[int, int, str, str]] = []
        kept, had_their_turn = deque(others), set[int]()

        def look_up(demand: str) -> None:
            left = openings.without(closed[demand], confined if demand in given_up else None)
            if left.any and (first := self._first(lines, demand, left)):
                heappush(firsts, (*first, demand))

        for demand in self.demands(direct) if direct else demands:
            look_up(demand)
        while firsts:
            priority, run, queue, demand = heappop(firsts)
            if not openings.include(queue):
                look_up(demand)
                continue
            while kept and (kept[0].priority, kept[0].run) < (priority, run):
                slot = kept.popleft()
                if slot.run not in had_their_turn:
                    board.keep(slot)
            had_their_turn.add(run)
            confinement = limits.confinement(queue)
            asked = _demand_decoder.decode(demand) if demand else None
            found: Placed | Blocked = _NO_CARDS
            if asked is not None:
                found = board.place(run, asked, confinement)
            if isinstance(found, Placed) or (found.needs_look and keeps_slots):
                usage.add(queue, limits)
                openings = usage.openings_for_direct(limits) if direct else usage.openings(limits)
            if isinstance(found, Blocked) or only_looking:
                if confinement is None:
                    given_up.add(demand)
                else:
                    closed[demand].add(queue)
            yield Turn(priority, run, queue, asked, found)
            look_up(demand)

    def _first(self, lines: str, demand: str, openings: Openings) -> tuple[int, int, str] | None:
        """Priority, id and queue of the first run that asks for `demand` in the queues that are open."""
        is_open, queues = _condition(openings)
        found: tuple[int, int, str] | None = self._execute(
            f"SELECT priority, run, queue FROM {lines} WHERE demand = ? AND {is_open}"
            " ORDER BY priority, run LIMIT 1",
            (demand, *queues),
        ).fetchone()
        return found

    def _claim(self, server: str, run: int, cards: Sequence[Allocation], now: float) -> Run:
        (claimed,) = self._runs(_CLAIM, (now, server, cards_as_text(cards), run))
        return claimed

    def _claim_without_cards(self, server: str, limits: Limits, usage: Usage, now: float) -> list[Run]:
        """What the turns come to where no run asks for cards: the short way."""
        claimed: list[Run] = []
        while (openings := usage.openings(limits)).any and (first := self._first("heads", "", openings)):
            _, run, queue = first
            claimed.append(self._claim(server, run, (), now))
            usage.add(queue, limits)
        return claimed

    def _give_back(self, cards: Sequence[Allocation], now: float) -> None:
        """Take note that nobody has these cards any more."""
        for card in cards:
            self._execute(
                "INSERT INTO cards (key, freed_at) VALUES (?, ?)"
                " ON CONFLICT (key) DO UPDATE SET freed_at = excluded.freed_at",
                (card.key, now),
            )

    def _remember_look(self, server: str, sight: GpuView, limits: Limits, now: float) -> GpuReading | None:
        """Take up a new look, and let those know of it who ask why a run waits."""
        if sight.look is None:
            return None
        look = with_doubts(sight.look, sight.before, self.board(sight.look, limits, now))
        self._execute("UPDATE servers SET look = ? WHERE id = ?", (msgspec.json.encode(look).decode(), server))
        return look


def _condition(openings: Openings) -> tuple[str, Collection[str]]:
    """What holds for the queues that are open, and what is bound to its placeholders."""
    which, queues = ("NOT IN", openings.all_but) if openings.only is None else ("IN", openings.only)
    if len(queues) > _FEW:
        return f"queue {which} (SELECT value FROM json_each(?))", (as_json(queues),)
    return f"queue {which} ({', '.join('?' * len(queues))})", queues


def cards_as_text(cards: Sequence[Allocation]) -> str | None:
    """Cards as the store has them; None for none."""
    return msgspec.json.encode(cards).decode() if cards else None
