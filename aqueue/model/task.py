"""Tasks, as written: what to run, and under which limits."""

import re
from collections.abc import Iterable
from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from aqueue.model.gpu import GpuId, GpuRequest
from aqueue.model.values import Value

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)

VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
"""The names that a variable may have."""

PARAM: Final = re.compile(rf"{VARIABLE.pattern}(\.[A-Za-z0-9_]+)*", re.ASCII)
"""The names that a param may have: those of variables, also with dots between them, as in DVC and Hydra."""

MAX_COMBINATIONS: Final = 10_000
"""The number of combinations a sweep may have, and how many values an axis."""


class Priority(IntEnum):
    """Of two runs that wait, the one with the lower number goes first."""

    HIGH = 0
    LOW = 1
    CATCHUP = 2
    """Low, too, but behind what is due now: what was missed is late anyway."""

    @property
    def word(self) -> str:
        """Return the priority as it is written in a task file."""
        return "high" if self is Priority.HIGH else "low"

    @classmethod
    def of(cls, word: str) -> "Priority":
        """Return the priority that is written as `word`, `high` or `low`."""
        return cls[word.upper()]


class Retries(msgspec.Struct, frozen=True, omit_defaults=True):
    """The rules for retrying a failed run.

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
        """Return the delay in seconds before retry number `retry`, counted from 1."""
        if not self.delay:
            return 0.0
        try:
            delay = self.delay * self.backoff ** (retry - 1)
        except OverflowError:
            delay = float("inf")
        longest = 365 * 86400.0 if self.max_delay is None else self.max_delay
        return min(delay, longest)


class Keep(StrEnum):
    """The rule for keeping checkouts once their attempts are over."""

    ALWAYS = "always"
    FAILED = "failed"
    """Checkouts of attempts that did not succeed."""
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
    """The rules for giving each attempt a checkout of its own.

    Attributes:
        copy, link: untracked things that it needs, copied or linked: paths within the working directory.
        keep: which checkouts stay.
        snapshot: what is checked out; None until the run is queued.
    """

    copy: tuple[str, ...] = ()
    link: tuple[str, ...] = ()
    keep: Keep = Keep.FAILED
    snapshot: Snapshot | None = None


Code = tuple[str, Isolation]
"""Code to keep: a working directory, and how its attempts are isolated."""


class Task(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task with every default filled in.

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
    gpus: int | tuple[GpuId, ...] | None = None
    gpu_memory: int | None = None
    group: str | None = None
    isolate: Isolation | None = None
    outputs: tuple[str, ...] = ()

    @property
    def snapshot(self) -> Snapshot | None:
        """Return the code that its attempts check out; None if they do not, or it is not queued yet."""
        return self.isolate.snapshot if self.isolate is not None else None

    @property
    def code(self) -> Code | None:
        """Return which code its attempts check out; None if they do not."""
        return None if self.isolate is None else (self.working_dir, self.isolate)

    @property
    def demand(self) -> GpuRequest | None:
        """Return the GPUs that it asks for; None if it asks for none."""
        if not self.gpus:
            return None
        if isinstance(self.gpus, int):
            return GpuRequest(self.gpus, memory=self.gpu_memory)
        return GpuRequest(len(self.gpus), self.gpus, self.gpu_memory)


def is_name(text: str) -> bool:
    """Return True if this may be a name, a run_id or a queue."""
    return _NAME.fullmatch(text) is not None and text not in (".", "..")


def is_param(text: str) -> bool:
    """Return True if a param may have this name."""
    return PARAM.fullmatch(text) is not None and not variable_of(text).startswith("AQUEUE_")


def variable_of(param: str) -> str:
    """Return the environment variable that a param is given to the command as.

    With an underscore for a dot, since many shells drop variables with dots in their names, dash among them.
    """
    return param.replace(".", "_")


def parse_tags(written: str) -> tuple[str, ...]:
    """Return the tags in a text with commas between them.

    Raises:
        ValueError: one of them is not `key` or `key=value`.
    """
    return check_tags([tag.strip() for tag in written.split(",") if tag.strip()])


def check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Return the tags, each once.

    Raises:
        ValueError: one of them is not `key` or `key=value`.
    """
    once = tuple(dict.fromkeys(tags))
    for tag in once:
        if not tag.partition("=")[0].strip() or "," in tag or not tag.isprintable():
            raise ValueError(tag)
    return once
