"""The world with servers and queues: servers that come, claim, fall silent and go, and limits that change."""

from collections import Counter

import msgspec
from hypothesis import event
from hypothesis import strategies as st

from aqueue.model.config import Queue
from aqueue.model.run import Run, State
from aqueue.model.server import Leaving, Server
from aqueue.policy.limits import Limits
from aqueue.policy.wait_reasons import waiting_for
from aqueue.store.database import transaction
from tests.unit.world import NOWHERE, World

QUEUES = ["gpu", "train", "eval"]
JOBS = st.integers(1, 3)
QUEUE = {
    "max_concurrency": st.sampled_from([2, 3, 1]),
    "wait_for_running": st.sampled_from([False, False, False, True]),
    "paused": st.sampled_from([False, False, False, True]),
}


class QueuesWorld(World):
    """Any queue may be configured, and the configuration changes for all servers at once.

    Attributes:
        up: the servers that live, in the order in which they came.
        silent: those of them that are stopped (SIGSTOP), and give no sign of life.
        leaving: those that start nothing more.
        own: what each server may start, as far as that is its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.servers = 0
        self.up: list[str] = []
        self.silent: set[str] = set()
        self.leaving: set[str] = set()
        self.own: dict[str, Limits] = {}
        self.configured: dict[str, Queue] = {}
        self.paused: set[str] = set()
        self.disabled_by: str | None = None

    @property
    def awake(self) -> list[str]:
        return [server for server in self.up if server not in self.silent]

    @property
    def starting(self) -> list[str]:
        return [server for server in self.awake if server not in self.leaving]

    def limits(self, server: str) -> Limits:
        return msgspec.structs.replace(self.own[server], queues=self.configured, disabled_by=self.disabled_by)

    def serves(self, server: str, run: Run) -> bool:
        served = self.own[server].serves
        return served is None or run.queue in served

    def slots(self, queue: str) -> int:
        return self.configured[queue].max_concurrency if queue in self.configured else 1

    def possible(self) -> list[str]:
        happenings = super().possible() + ["a_queue_is_configured"] * 3
        happenings += ["a_queue_is_paused_or_resumed"] * (1 + len(self.paused))
        happenings += ["queues_are_disabled_or_enabled"] * (10 if self.disabled_by else 1)
        if len(self.up) < 4:
            happenings += ["a_server_comes_up"] * (1 if self.starting else 20)
        if self.starting:
            happenings += ["the_jobs_of_a_server_change", "a_server_is_to_leave", "a_server_adopts"]
            happenings += ["a_server_claims", "all_servers_claim"] * (5 if self.runs(State.QUEUED) else 1)
        if self.awake:
            happenings += ["a_server_falls_silent_or_dies"] * (2 if self.running() else 1)
        if self.silent:
            happenings += ["a_silent_server_wakes"] * 2
        if self.leaving:
            happenings += ["a_leaving_server_has_left"]
        return happenings

    # Queues

    def the_folder_is_set_up(self) -> None:
        for _ in QUEUES:
            self.a_queue_is_configured()
        for _ in range(2):
            self.a_server_comes_up()

    def a_queue_is_configured(self) -> None:
        """With one limit or another, or not any more; in most cases the one in which most runs."""
        most = [queue for queue, _ in Counter(run.queue for run in self.running()).most_common(1)]
        queue = self.draw(st.sampled_from(most if most and self.mostly() else QUEUES))
        configured = self.draw(st.none() | st.builds(Queue, name=st.just(queue), **QUEUE))
        if configured is None:
            self.configured.pop(queue, None)
        else:
            self.configured[queue] = configured
        if sum(run.queue == queue for run in self.running()) > self.slots(queue):
            event("a limit is lowered below what runs")

    def a_queue_is_paused_or_resumed(self) -> None:
        queue = self.draw(st.sampled_from([*QUEUES, *self.paused]))
        with transaction(self.connection, NOWHERE):
            if queue not in self.paused and not self.mostly():
                self.store.queues.pause(queue)
                self.paused.add(queue)
            else:
                assert self.store.queues.resume(queue) == (queue in self.paused)
                self.paused.discard(queue)
        assert self.store.queues.paused() == self.paused

    def queues_are_disabled_or_enabled(self) -> None:
        self.disabled_by = None if self.disabled_by else "enabled: false in aqueue.yaml"
        with transaction(self.connection, NOWHERE):
            for server in self.up:
                self.store.servers.beat(server, self.limits(server), self.now)

    # Servers

    def a_server_comes_up(self) -> None:
        self.servers += 1
        id_, at = f"server-{self.servers}", float(self.servers)
        served = self.draw(st.none() | st.none() | st.lists(st.sampled_from(QUEUES), min_size=1, unique=True))
        self.own[id_] = own = Limits(jobs=self.draw(JOBS), serves=served)
        record = Server(
            id=id_,
            pid=1,
            boot=f"boot of {id_}",
            jobs=own.jobs,
            started_at=at,
            heartbeat_at=at,
            queues=None if served is None else tuple(served),
            disabled_by=self.disabled_by,
        )
        with transaction(self.connection, NOWHERE):
            self.store.servers.enter(record)
        self.up.append(id_)

    def the_jobs_of_a_server_change(self) -> None:
        server = self.draw(st.sampled_from(self.starting))
        self.own[server] = msgspec.structs.replace(self.own[server], jobs=self.draw(JOBS))
        with transaction(self.connection, NOWHERE):
            self.store.servers.beat(server, self.limits(server), self.now)

    def a_server_falls_silent_or_dies(self) -> None:
        """One that runs something, if there is one."""
        busy = sorted({run.server or "" for run in self.running()} & {*self.awake})
        server = self.draw(st.sampled_from(busy or self.awake))
        if self.mostly():
            self.silent.add(server)
        else:
            self._is_gone(server)
        if self.starting and self.mostly():
            self.a_server_adopts()

    def a_silent_server_wakes(self) -> None:
        server = self.draw(st.sampled_from(sorted(self.silent)))
        self.silent.remove(server)
        its = {(run.id, run.attempt) for run in self.running() if run.server == server}
        believed = {(run.id, run.attempt) for owner, run in self.beliefs if owner == server}
        assert self.store.servers.running_on(server) == its <= believed

    def a_server_is_to_leave(self) -> None:
        """Because it is told to; or because it finds nothing to do, if that is so."""
        server = self.draw(st.sampled_from(self.starting))
        is_busy = any(self.serves(server, run) and self._can_go_on(run) for run in self.runs())
        record = self.store.servers.get(server)
        assert record is not None
        with transaction(self.connection, NOWHERE):
            if self.draw(st.booleans()):
                self.store.servers.ask_to_leave(server, self.draw(st.sampled_from(Leaving)))
            else:
                assert self.store.prospects.leave_if_idle(record, self.limits(server), self.now) is not is_busy
                if is_busy:
                    return
        self.leaving.add(server)

    def _can_go_on(self, run: Run) -> bool:
        """Return True if something happens to a run without a person."""
        configured = self.configured.get(run.queue)
        is_paused = run.queue in self.paused or (configured is not None and configured.paused)
        is_startable = not is_paused and self.disabled_by is None
        return run.state is State.RUNNING or (run.state is State.QUEUED and is_startable)

    def a_leaving_server_has_left(self) -> None:
        server = self.draw(st.sampled_from(sorted(self.leaving)))
        if server not in self.silent and not self.store.servers.running_on(server):
            with transaction(self.connection, NOWHERE):
                self.store.servers.leave(server)
            self._is_gone(server)

    def _is_gone(self, server: str) -> None:
        self.up.remove(server)
        self.silent.discard(server)
        self.leaving.discard(server)

    def a_server_adopts(self) -> None:
        """All runs of servers that give no sign of life; of those only the dead are forgotten."""
        heir = self.draw(st.sampled_from(self.starting))
        orphans = [run for run in self.running() if run.server not in self.awake]
        if any(run.server in self.silent for run in orphans):
            event("a run of a silent server is adopted")
        gone = {server.id for server in self.store.servers.all()} - {*self.up}
        with transaction(self.connection, NOWHERE):
            adopted = self.store.servers.adopt(heir, self.awake, gone)
        assert [run for run, _ in adopted] == [msgspec.structs.replace(run, server=heir) for run in orphans]
        assert [boot for _, boot in adopted] == [f"boot of {run.server}" for run in orphans]
        assert [server.id for server in self.store.servers.all()] == self.up
        self.beliefs += [(heir, run) for run, _ in adopted]

    # Who is next

    def a_server_claims(self) -> None:
        self._give(self.draw(st.sampled_from(self.starting)))

    def all_servers_claim(self) -> None:
        for server in self.starting:
            self._give(server)
        waiting = self.in_order() + self.runs(State.HELD)
        assert all(self._waits_for(waiting)), "a run waits and does not say for what"

    def _give(self, server: str) -> None:
        expected = self._next_in_line(server)
        assert not any(self._waits_for(expected[:1])), "a run could start and says that it waits"
        with transaction(self.connection, NOWHERE):
            given = self.store.claims.claim(server, self.limits(server), self.now).runs
        assert [run.id for run in given] == [run.id for run in expected]
        for run in given:
            assert (run.id, run.attempt) not in self.claimed, "an attempt was given out twice"
            self.claimed.add((run.id, run.attempt))
            assert run == self.as_it_is(run)
            assert (run.state, run.server, run.started_at) == (State.RUNNING, server, self.now)
        self.beliefs += [(server, run) for run in given]

    def _next_in_line(self, server: str) -> list[Run]:
        """Return the runs that a server is to get, computed in the plainest way."""
        everywhere = Counter(run.queue for run in self.running())
        jobs = sum(run.server == server and run.queue not in self.configured for run in self.running())
        runs: list[Run] = []
        for run in self.in_order():
            configured = self.configured.get(run.queue)
            reasons = {
                "it is not ready": run.ready_at is not None and run.ready_at > self.now,
                "queues are disabled": self.disabled_by is not None,
                "its queue is not served": not self.serves(server, run),
                "its queue is paused": run.queue in self.paused,
                "its queue is configured as paused": configured is not None and configured.paused,
                "its queue is full": everywhere[run.queue] >= self.slots(run.queue),
                "all job slots are taken": configured is None and jobs >= self.own[server].jobs,
                "something runs": configured is not None
                and configured.wait_for_running
                and everywhere.total() > 0,
            }
            if not any(reasons.values()):
                everywhere[run.queue] += 1
                jobs += configured is None
                runs.append(run)
            elif list(reasons.values()).count(True) == 1:
                event(f"a run is not started only because {next(why for why in reasons if reasons[why])}")
        if any(run.queue in self.configured and self.configured[run.queue].wait_for_running for run in runs):
            event("a run that waited for all others is started")
        return runs

    def _waits_for(self, runs: list[Run]) -> list[str | None]:
        servers = [server for server in self.store.servers.all() if server.id in self.awake]
        limits = Limits(queues=self.configured, disabled_by=self.disabled_by)
        lines = list(self.store.queues.lines(runs, servers, self.configured))
        places: Counter[str] = Counter()
        for run in self.in_order():
            if run.ready_at is None:
                assert run not in runs or lines[runs.index(run)].ahead == places[run.queue]
                places[run.queue] += 1
        return [waiting_for(run, line, limits, self.now) for run, line in zip(runs, lines, strict=True)]
