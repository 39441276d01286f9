"""The records that the rest of aqueue talks about, and which state may follow which."""

import re
from collections.abc import Iterable
from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from aqueue.cards import CardId, Demand, HeldCard
from aqueue.values import Value

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)

VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
"""What a variable may be called."""

PARAM: Final = re.compile(rf"{VARIABLE.pattern}(\.[A-Za-z0-9_]+)*", re.ASCII)
"""What a param may be called: a variable, or several names with dots between them, as DVC and Hydra have them."""

Metric = str | int | float | bool

MOST_COMBINATIONS: Final = 10_000
"""How many combinations a sweep may have, and how many values an axis."""

NOT_YET: Final = float("inf")
"""When a run is ready that comes after others which are not over."""


class State(StrEnum):
    """Where a run is in its life. It never says why; `Run.reason` does."""

    HELD = "held"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABORTED = "aborted"


ENDED: Final = frozenset({State.SUCCEEDED, State.FAILED, State.ABORTED})

FOLLOWERS: Final = {
    # Out of the queue to how it had ended: a retry that has not begun was taken back.
    State.HELD: ENDED | {State.QUEUED},
    State.QUEUED: ENDED | {State.HELD, State.RUNNING},
    State.RUNNING: ENDED | {State.QUEUED},
    State.SUCCEEDED: frozenset({State.QUEUED}),
    State.FAILED: frozenset({State.QUEUED}),
    State.ABORTED: frozenset({State.QUEUED}),
}
"""Which states a run may go to from each state; nothing else ever happens to it."""


class Priority(IntEnum):
    """Of two runs that wait, the one with the lower number goes first."""

    HIGH = 0
    LOW = 1
    CATCHUP = 2
    """Low, too, but behind what is due now: what was missed is late anyway."""

    @property
    def word(self) -> str:
        """The priority as it is written in a task file."""
        return "high" if self is Priority.HIGH else "low"

    @classmethod
    def of(cls, word: str) -> "Priority":
        """The priority that is written as `word`, `high` or `low`."""
        return cls[word.upper()]


class Trigger(StrEnum):
    """What made a run. All but `file` are Dagu's trigger types."""

    FILE = "file"
    MANUAL = "manual"
    SCHEDULER = "scheduler"
    WEBHOOK = "webhook"
    SUBDAG = "subdag"
    RETRY = "retry"
    CATCHUP = "catchup"


class Retries(msgspec.Struct, frozen=True, omit_defaults=True):
    """How often, how soon and after what a failed run is tried again.

    Attributes:
        limit: attempts after the first.
        delay: seconds before the first retry.
        backoff: what the delay is multiplied by from one retry to the next.
        max_delay: seconds that the delay never exceeds.
        exit_codes: the exit codes after which it is tried again; empty: any failure.
    """

    limit: int = 0
    delay: float = 0.0
    backoff: float = 1.0
    max_delay: float | None = None
    exit_codes: tuple[int, ...] = ()

    def seconds_before(self, retry: int) -> float:
        """The delay in seconds before retry number `retry`, counted from 1."""
        if not self.delay:
            return 0.0
        try:
            delay = self.delay * self.backoff ** (retry - 1)
        except OverflowError:
            delay = float("inf")
        longest = 365 * 86400.0 if self.max_delay is None else self.max_delay
        return min(delay, longest)


class Keep(StrEnum):
    """Which checkouts stay once the attempts in them are over."""

    ALWAYS = "always"
    FAILED = "failed"
    """Those of attempts that did not succeed."""
    NEVER = "never"


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Code as it was at one moment.

    Attributes:
        repository: the directory in which git has it, that of all its worktrees; an absolute path.
        commit: the id of a commit that has all tracked files as they were.
        prefix: the working directory of the task within that commit; empty for its top.
    """

    repository: str
    commit: str
    prefix: str = ""


class Isolation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How each attempt has a checkout of its own.

    Attributes:
        copy, link: untracked things that it needs, copied or linked: paths within the working directory.
        keep: which checkouts stay.
        snapshot: what is checked out; None until the run is queued.
    """

    copy: tuple[str, ...] = ()
    link: tuple[str, ...] = ()
    keep: Keep = Keep.FAILED
    snapshot: Snapshot | None = None


class Task(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What to run, with every default filled in.

    Attributes:
        command: a string for `shell`, or the arguments of a program that is run as it is.
        queue: None stands for the local queue, which has the run's name.
        params: given to the command as environment variables; see `variable_of`.
        arguments: positional params, `$1`, `$2` … of a shell command.
        base_env, env: variables that the command gets over the server's own, the latter over the former.
        is_literal: whether `env` and the words of the command are taken as they are, with nothing filled in.
        working_dir: an absolute path.
        shell: what runs a string; None for /bin/sh, which then is the attempt's own first process.
        timeout: seconds that an attempt may take, or None for ever.
        log_limit: bytes of output of an attempt that are kept, see `long_logs`; None: all.
        requeue: whether a run that was lost is queued again.
        gpus: how many, or which; 0 hides all; None: whatever the server's environment says.
        gpu_memory: bytes that must be free on each GPU.
        group: what the runs of a sweep, and others that belong together, have in common.
        isolate: None: it runs in `working_dir` itself.
        outputs: what is copied to the run's folder at the end: paths and patterns within the working directory.
    """

    name: str
    command: str | tuple[str, ...]
    working_dir: str
    queue: str | None = None
    priority: Priority = Priority.LOW
    params: dict[str, Value] = {}
    arguments: tuple[str, ...] = ()
    base_env: dict[str, str] = {}
    env: dict[str, str] = {}
    is_literal: bool = False
    shell: str | None = None
    timeout: float | None = None
    log_limit: int | None = None
    retries: Retries = Retries()
    requeue: bool = True
    tags: tuple[str, ...] = ()
    hold: bool = False
    gpus: int | tuple[CardId, ...] | None = None
    gpu_memory: int | None = None
    group: str | None = None
    isolate: Isolation | None = None
    outputs: tuple[str, ...] = ()

    @property
    def snapshot(self) -> Snapshot | None:
        """The code that its attempts check out; None if they do not, or it is not queued yet."""
        return self.isolate.snapshot if self.isolate is not None else None

    @property
    def demand(self) -> Demand | None:
        """The cards that it asks for; None if it asks for none."""
        if not self.gpus:
            return None
        if isinstance(self.gpus, int):
            return Demand(self.gpus, memory=self.gpu_memory)
        return Demand(len(self.gpus), self.gpus, self.gpu_memory)


class Overlap(StrEnum):
    """What becomes of a due time while earlier runs of the schedule are not over."""

    ALL = "all"
    """Its run waits for its turn."""
    SKIP = "skip"
    """It is skipped while the previous run is queued or running."""
    LATEST = "latest"
    """Its run takes the place of those that wait."""


class Schedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a task is due, again and again.

    Attributes:
        task: what becomes a run at each due time; it and the schedule have one name.
        expressions: in cron's language, of five fields each; due is what any of them says.
        at: the only due time, in seconds since the epoch, where there are no expressions.
        timezone: in which the expressions are meant, such as `Europe/Berlin`.
        catchup_window: seconds that a missed time may lie back and still be made up for; 0: none is.
    """

    task: Task
    timezone: str
    expressions: tuple[str, ...] = ()
    at: float | None = None
    catchup_window: float = 0.0
    overlap: Overlap = Overlap.ALL

    @property
    def name(self) -> str:
        """Its name in the folder, and that of its runs."""
        return self.task.name


class StoredSchedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule as the store has it.

    Attributes:
        file: where it is written, within the folder; None once it has ended.
        handled_until: what was due by then is made, missed or skipped.
        next_due: None while it is paused, and if it is never due again.
        missed_after: since when there are missed times that nobody has decided about; None if there are none.
        missed_at: when they were found to be missed.
        missed: how many due times were missed for good.
        error: what is wrong with the file as it is now; `schedule` is its last good version then.
    """

    name: str
    file: str | None
    schedule: Schedule
    handled_until: float
    next_due: float | None
    missed_after: float | None
    missed_at: float | None
    missed: int
    paused: bool
    error: str | None


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What a task gets that its file does not say.

    Attributes:
        name: None where a file must name its tasks.
        queue: None for the local queue.
        working_dir: where it runs; an absolute path.
        base: what a `working_dir` in the file is relative to.
        timeout: seconds.
        log_limit: bytes.
        timezone: in which schedules are meant, or `local`.
    """

    name: str | None
    working_dir: str
    base: str
    queue: str | None = None
    env: dict[str, str] = {}
    timeout: float | None = None
    retries: Retries = Retries()
    log_limit: int | None = None
    timezone: str = "local"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One request to execute a task, as the store has it.

    Times are seconds since the epoch.

    Attributes:
        attempt: the number of the last attempt, 0 before the first.
        failures: attempts that failed and count against `task.retries`.
        losses: attempts that were lost, and after which it was queued again.
        ready_at: not to be started before; None for at once; `NOT_YET` while it waits for what it comes after, and
            still so if it was aborted because of that.
        server: who runs it; None unless it is running.
        cancel: why it is to be stopped, once somebody asked for that.
        direct: whether it may be started although queues are disabled.
        cards: that it has, or had in the attempt after which it was over.
        prerequisites: names the runs that it comes after; None if there are none.
        metrics: what its last attempt measured.
        took: seconds that its last attempt took; None while there is none that is over.
    """

    id: int
    name: str
    run_id: str
    queue: str
    priority: Priority
    state: State
    reason: str | None
    trigger: Trigger
    task: Task
    created_at: float
    ready_at: float | None
    started_at: float | None
    finished_at: float | None
    scheduled_for: float | None
    attempt: int
    failures: int
    losses: int
    exit_code: int | None
    signal: int | None
    server: str | None
    cancel: str | None
    direct: bool = False
    cards: tuple[HeldCard, ...] = ()
    prerequisites: int | None = None
    metrics: dict[str, Metric] = {}
    took: float | None = None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One start of a run's process; `finished_at` is None while it goes on."""

    number: int
    started_at: float
    finished_at: float | None
    exit_code: int | None
    signal: int | None
    reason: str | None
    cards: tuple[HeldCard, ...] = ()


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """A queue that somebody configured.

    Attributes:
        max_concurrency: how many of its runs may run at the same time.
        wait_for_running: whether it starts a run only while no other run of the folder is running.
        paused: whether the configuration keeps it from starting anything.
        gpus: the only cards that its runs get; None: all.
    """

    name: str
    max_concurrency: int = 1
    wait_for_running: bool = False
    paused: bool = False
    gpus: tuple[CardId, ...] | None = None


class Leaving(StrEnum):
    """How a server is to go."""

    WHEN_DONE = "when done"
    """It starts nothing more, and goes when what it runs is over."""
    AT_ONCE = "at once"
    """It stops what it runs, and goes."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A process that serves the folder.

    Attributes:
        id: names the file that it keeps locked while it lives.
        boot: the boot of the machine that it was started in.
        jobs: runs at the same time in queues that nobody configured, as it says itself.
        raised_to: how many of them somebody has asked for; it counts if there are more.
        heartbeat_at: its last sign of life.
        queues: the only queues it serves; None for all.
        log: where it writes what it has to say; None for where it was started.
        wanted_at: when somebody last asked for it to be up.
        stays_for: how many seconds without work it was then asked to stay, if it would leave earlier.
        disabled_by: what says that it may start nothing; None if nothing does.
        leaving: how it is to go, once it is.
        owns: it has only cards that each of these lists means.
    """

    id: str
    pid: int
    boot: str
    jobs: int
    started_at: float
    heartbeat_at: float
    queues: tuple[str, ...] | None = None
    log: str | None = None
    wanted_at: float = 0.0
    leaving: Leaving | None = None
    raised_to: int = 0
    stays_for: float = 0.0
    disabled_by: str | None = None
    owns: tuple[tuple[CardId, ...], ...] = ()

    @property
    def most_jobs(self) -> int:
        """Runs at the same time in queues that nobody configured."""
        return max(self.jobs, self.raised_to)

    def serves(self, queue: str) -> bool:
        """Whether it starts runs of this queue."""
        return self.leaving is None and (self.queues is None or queue in self.queues)


def is_name(text: str) -> bool:
    """Whether this may be a name, a run_id or a queue."""
    return _NAME.fullmatch(text) is not None and text not in (".", "..")


def is_param(text: str) -> bool:
    """Return whether a param may have this name."""
    return PARAM.fullmatch(text) is not None and not variable_of(text).startswith("AQUEUE_")


def variable_of(param: str) -> str:
    """Return the environment variable that a param is given to the command as.

    With an underscore for a dot, since many shells drop variables with dots in their names, dash among them.
    """
    return param.replace(".", "_")


def parse_tags(written: str) -> tuple[str, ...]:
    """Tags as one text, with commas between them.

    Raises:
        ValueError: one of them is not `key` or `key=value`.
    """
    return check_tags([tag.strip() for tag in written.split(",") if tag.strip()])


def check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """The tags, each once.

    Raises:
        ValueError: one of them is not `key` or `key=value`.
    """
    once = tuple(dict.fromkeys(tags))
    for tag in once:
        if not tag.partition("=")[0].strip() or "," in tag or not tag.isprintable():
            raise ValueError(tag)
    return once
