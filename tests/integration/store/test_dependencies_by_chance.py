"""Random prerequisites, and random acts of people and servers: nothing starts too early, nothing waits for ever.

Beside the store a plain model is kept of the same runs. Where the store counts, it looks at all of them.
"""

from collections.abc import Collection, Iterable
from typing import Any

import pytest
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aqueue.errors import RunError
from aqueue.model.outcome import End
from aqueue.model.submission import Submission
from aqueue.model.task import Retries
from tests.integration.depending import Chain, wants
from tests.unit.blank import blank_database
from tests.unit.world import NOWHERE

# When it fails, finding a short example takes its time.
pytestmark = [pytest.mark.timeout(600), pytest.mark.at_length]

OVER = ("succeeded", "failed", "aborted")
MAX_RUNS = 14


class Node:
    """A run in the model."""

    def __init__(
        self, before: Iterable["Node"], *, any_end: bool, held: bool, retries: int, group: str | None
    ) -> None:
        self.before = [*before]
        self.any_end = any_end
        self.state = "held" if held else "queued"
        self.retries = self.left = retries
        self.group = group
        self.attempts = 0
        self.is_cancelled = False
        self.was_held = False
        # It was aborted because of what it comes after, and waits again when that does.
        self.comes_back = False
        # How it had ended when it was retried, as long as nothing of that has begun.
        self.had_ended = ""

    def is_open(self, known: Collection["Node"]) -> bool:
        """Return True if all prerequisites of a run have ended or were forgotten."""
        return all(one.state in OVER for one in self.before if one in known)

    def is_doomed(self, known: Collection["Node"]) -> bool:
        return not self.any_end and any(one.state in ("failed", "aborted") for one in self.before if one in known)


class Model:
    """All runs by their names."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}

    @property
    def known(self) -> Collection[Node]:
        return self.nodes.values()

    def named(self, *states: str) -> list[str]:
        return [name for name, node in self.nodes.items() if node.state in states]

    def can_start(self) -> set[str]:
        return {name for name in self.named("queued") if self.nodes[name].is_open(self.known)}

    def abort_the_doomed(self) -> None:
        doomed = [node for node in self.known if node.state in ("held", "queued") and node.is_doomed(self.known)]
        for node in doomed:
            node.was_held, node.state, node.comes_back = node.state == "held", "aborted", True
            node.had_ended = ""
        if doomed:
            self.abort_the_doomed()

    def wait_again_for(self, again: list[Node]) -> None:
        for node in self.known:
            if node.comes_back and not {*again}.isdisjoint(node.before) and not node.is_doomed(self.known):
                node.state, node.comes_back, node.left = "held" if node.was_held else "queued", False, node.retries
                self.wait_again_for([node])

    def can_be_retried(self, names: Collection[str]) -> bool:
        """Return True if all can be retried, prerequisites first."""
        good = {*names}
        while True:
            still = {name for name in good if not self._is_blocked(self.nodes[name], good)}
            if still == good:
                return good == {*names}
            good = still

    def _is_blocked(self, node: Node, retried: Collection[str]) -> bool:
        if node.state not in OVER:
            return True
        again = {self.nodes[name] for name in retried}
        return not node.any_end and any(
            one.state in ("failed", "aborted") and one not in again and not self._returns(one, again)
            for one in node.before
            if one in self.known
        )

    def _returns(self, node: Node, again: Collection[Node]) -> bool:
        """Return True if a run waits again once those are retried."""
        before = [one for one in node.before if one in self.known]
        queued = [one for one in before if one in again or self._returns(one, again)]
        bad = {one for one in before if one.state in ("failed", "aborted")}
        return node.comes_back and queued != [] and bad <= {*queued}


class Life(RuleBasedStateMachine):
    data: st.DataObject

    def __init__(self) -> None:
        super().__init__()
        self.connection = blank_database()
        self.connection.execute("PRAGMA foreign_keys = ON")
        self.chain = Chain(self.connection, NOWHERE)
        self.model = Model()
        self.files = 0

    def teardown(self) -> None:
        try:
            if hasattr(self, "data"):
                self.all_comes_to_its_end()
        finally:
            self.connection.close()

    @initialize(data=st.data())
    def somebody_begins(self, data: st.DataObject) -> None:
        self.data = data
        self.a_file_is_queued()

    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        self.data = data
        getattr(self, data.draw(st.sampled_from(self.possible())))()

    def draw(self, strategy: st.SearchStrategy[Any]) -> Any:
        return self.data.draw(strategy)

    def some(self, names: Collection[str], most: int = 3) -> list[str]:
        found: list[str] = self.draw(
            st.lists(st.sampled_from(sorted(names)), min_size=1, max_size=most, unique=True)
        )
        return found

    def possible(self) -> list[str]:
        model = self.model
        happenings = ["runs_are_forgotten"] if model.named(*OVER) else []
        if len(model.nodes) < MAX_RUNS:
            happenings += ["a_file_is_queued"] * 3
        if model.named("running"):
            happenings += ["an_attempt_ends"] * 6
        if model.can_start():
            happenings += ["all_that_can_start_does"] * 4
        if model.named("held", "queued", "running"):
            happenings += ["runs_are_cancelled"]
        if model.named(*OVER):
            happenings += ["runs_are_retried"] * 4
        if model.named("queued"):
            happenings += ["a_run_is_held", "a_run_is_dequeued"]
        if model.named("held"):
            happenings += ["a_run_is_released"] * 2
        return happenings

    # What happens

    def a_file_is_queued(self) -> None:
        """With tasks that come after earlier runs, and need tasks of the file that stand before or behind them."""
        self.files += 1
        requests: list[Submission] = []
        made: dict[str, Node] = {}
        needed: dict[str, list[str]] = {}
        for number in range(self.draw(st.integers(1, 3))):
            name = f"f{self.files}t{number}"
            sweep, any_end, held = (
                self.draw(st.sampled_from(of)) for of in ((0, 0, 2), (False, True), (False,) * 4 + (True,))
            )
            after = self.some(self.model.nodes, 2) if self.model.nodes and self.draw(st.booleans()) else []
            groups = [name for name in after if self.model.nodes[name].group and self.draw(st.booleans())]
            needs = self.some(needed, 2) if needed and self.draw(st.booleans()) else []
            before = [self.model.nodes[name] for name in after]
            before += [
                node for name in groups for node in self.model.known if node.group == self.model.nodes[name].group
            ]
            before += [made[run] for need in needs for run in needed[need]]
            limit = self.draw(st.sampled_from([0, 0, 1]))
            names = [f"{name}-1", f"{name}-2"] if sweep else [name]
            for run in names:
                made[run] = Node(before, any_end=any_end, held=held, retries=limit, group=name if sweep else None)
                needed[run] = [run]
            needed[name] = names
            requests.append(
                wants(
                    name,
                    after=[self.spelt(run) for run in after if run not in groups]
                    + [f"group:{self.model.nodes[run].group}" for run in groups],
                    needs=needs,
                    any_end=any_end,
                    runs=sweep,
                    hold=held,
                    retries=Retries(limit=limit),
                )
            )
        # Tasks may stand before those that they need.
        requests = self.draw(st.permutations(requests))
        if self.draw(st.booleans()):
            self.chain.enqueue(*requests)
        else:
            self.chain.accept(f"{self.files}~~f.yaml", *requests)
        self.model.nodes |= made
        self.model.abort_the_doomed()

    def spelt(self, name: str) -> str:
        run = self.chain.run(name)
        return self.draw(st.sampled_from([name, str(run.id), run.run_id])) if len(run.run_id) == 16 else name

    def all_that_can_start_does(self) -> None:
        for name in self.chain.start():
            node = self.model.nodes[name]
            assert node.state == "queued"
            assert node.any_end or all(one.state == "succeeded" for one in node.before if one in self.model.known)
            node.state = "running"
        assert self.model.can_start() == set()

    def an_attempt_ends(self) -> None:
        name = self.draw(st.sampled_from(self.model.named("running")))
        node = self.model.nodes[name]
        ends = [(End.EXITED, 0), (End.EXITED, 1), (End.EXITED, 1), (End.NEVER_STARTED, None)]
        end, code = (
            (End.STOPPED, 143)
            if node.is_cancelled and self.draw(st.booleans())
            else self.draw(st.sampled_from(ends))
        )
        self.chain.end(name, code, end, why="cancelled" if end is End.STOPPED else "")
        node.attempts += end is not End.NEVER_STARTED
        is_tried_again = end is End.NEVER_STARTED or (code == 1 and node.left > 0)
        node.left -= code == 1
        if code == 0:
            node.state = "succeeded"
        elif end is End.STOPPED or (is_tried_again and node.is_cancelled):
            node.state = "aborted"
        else:
            node.state = "queued" if is_tried_again else "failed"
        if end is not End.NEVER_STARTED:
            node.had_ended = ""
        elif node.state == "aborted" and node.had_ended:
            node.state, node.had_ended = node.had_ended, ""
        node.is_cancelled = False
        if node.state == "queued" and not node.is_open(self.model.known):
            event("a run that is tried again waits once more")
        if node.state == "queued" and node.is_doomed(self.model.known):
            event("a run is not tried again because of what it comes after")
        self.model.abort_the_doomed()

    def runs_are_cancelled(self) -> None:
        names = self.some(self.model.named("held", "queued", "running"))
        runs = [self.chain.run(name) for name in names]
        told = {run.name for run in self.chain.asked.dependencies.dependents(runs)}
        stays = any(self.model.nodes[name].had_ended == "succeeded" for name in names)
        waited = {*self.model.named("held", "queued")} - {*names}
        self.chain.cancel(*names)
        at_once = all(self.model.nodes[name].state != "running" for name in names)
        for name in names:
            node = self.model.nodes[name]
            if node.state == "running":
                node.is_cancelled = True
            else:
                node.state, node.comes_back = node.had_ended or "aborted", False
                node.had_ended = ""
        self.model.abort_the_doomed()
        for name in names:
            self.model.nodes[name].comes_back = False
        gone = {name for name in waited if self.model.nodes[name].state == "aborted"}
        # What is taken back to its success aborts nothing.
        assert told == gone if at_once and not stays else told >= gone
        if gone:
            event("others are aborted with what is cancelled")

    def runs_are_retried(self) -> None:
        names = self.some(self.model.named(*OVER), 4)
        before = self.chain.states()
        if not self.model.can_be_retried(names):
            with pytest.raises(RunError):
                self.chain.retry(*names)
            event("a retry is refused")
            assert self.chain.states() == before
            return
        self.chain.retry(*names)
        for name in names:
            node = self.model.nodes[name]
            node.had_ended = node.state
            node.state, node.comes_back, node.left = "queued", False, node.retries
        self.model.wait_again_for([self.model.nodes[name] for name in names])
        if any(
            state == "aborted" and self.model.nodes[name].state != state and name not in names
            for name, state in before.items()
        ):
            event("others wait again with what is retried")

    def a_run_is_held(self) -> None:
        name = self.draw(st.sampled_from(self.model.named("queued")))
        self.chain.hold(name)
        self.model.nodes[name].state = "held"

    def a_run_is_released(self) -> None:
        name = self.draw(st.sampled_from(self.model.named("held")))
        self.chain.release(name)
        self.model.nodes[name].state = "queued"

    def a_run_is_dequeued(self) -> None:
        name = self.draw(st.sampled_from(self.model.named("queued")))
        node = self.model.nodes[name]
        is_forgotten = self.chain.dequeue(name)
        is_needed = any(node in other.before for other in self.model.known)
        assert is_forgotten == (node.attempts == 0 and not is_needed)
        node.state, node.had_ended = (node.had_ended if not is_forgotten else "") or "aborted", ""
        self.model.abort_the_doomed()
        if is_forgotten:
            del self.model.nodes[name]

    def runs_are_forgotten(self) -> None:
        names = self.some(self.model.named(*OVER))
        self.chain.forget(*names)
        for name in names:
            del self.model.nodes[name]

    def all_comes_to_its_end(self) -> None:
        for name in self.model.named("held"):
            self.chain.release(name)
        while started := {*self.chain.start(), *self.model.named("running")}:
            for name in started:
                self.chain.end(name)
            for node in self.model.known:
                node.state = "" if node.state == "running" else node.state
        left = {name: state for name, state in self.chain.states().items() if state not in OVER}
        assert left == {}, "they wait for ever"

    @invariant()
    def each_run_is_in_the_state_in_which_it_should_be(self) -> None:
        assert self.chain.states() == {name: node.state for name, node in self.model.nodes.items()}

    @invariant()
    def each_run_waits_for_what_is_not_over(self) -> None:
        waiting = {*self.model.named("queued", "held")}
        waiting = {name for name in waiting if not self.model.nodes[name].is_open(self.model.known)}
        assert self.chain.waiting() == waiting


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=30, stateful_step_count=40)
