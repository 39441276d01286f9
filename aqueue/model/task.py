"""Tasks: what to run, and under which limits."""

import re
from enum import IntEnum, StrEnum
from typing import Final, Literal

import msgspec

from aqueue.model.basics import HIGH, LOW
from aqueue.model.gpu import GpuId, GpuRequest
from aqueue.model.notification import Notify
from aqueue.model.values import Value

VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
"""The valid names of variables."""

PARAM: Final = re.compile(rf"{VARIABLE.pattern}(\.[A-Za-z0-9_]+)*", re.ASCII)
"""The valid names of params: names of variables joined by dots, as in DVC and Hydra."""

MAX_COMBINATIONS: Final = 10_000
"""The maximum number of combinations of a sweep, and of values of an axis."""


class Priority(IntEnum):
    """The priority of a run; the lower number goes first."""

    HIGH = HIGH
    LOW = LOW
    CATCHUP = 2
    """Low, but behind runs that are due now: a missed run is late anyway."""

    @property
    def word(self) -> str:
        """Return the priority as written in a task file."""
        return "high" if self is Priority.HIGH else "low"

    @classmethod
    def of(cls, word: str) -> "Priority":
        """Return the priority written as `word`: `high` or `low`."""
        return cls[word.upper()]


class Retries(msgspec.Struct, frozen=True, omit_defaults=True):
    """The rules for retrying a failed run.

    Attributes:
        limit: the number of attempts after the first.
        delay: seconds before the first retry.
        backoff: the factor from one delay to the next.
        max_delay: the maximum delay in seconds.
        exit_codes: the exit codes to retry after; empty: any failure.
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
    """The rule for keeping checkouts after their attempts end."""

    ALWAYS = "always"
    FAILED = "failed"
    """Checkouts of attempts that did not succeed."""
    NEVER = "never"


class Snapshot(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A snapshot of code.

    Attributes:
        repository: the absolute path of the git directory, which all worktrees share.
        commit: the id of a commit of all tracked files as they were.
        prefix: the working directory of the task within the commit; empty for its root.
    """

    repository: str
    commit: str
    prefix: str = ""


class Isolation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The rules for giving each attempt a checkout of its own.

    Attributes:
        copy, link: untracked paths in the working directory to copy or link.
        keep: which checkouts to keep.
        snapshot: the code to check out; None until the run is queued.
    """

    copy: tuple[str, ...] = ()
    link: tuple[str, ...] = ()
    keep: Keep = Keep.FAILED
    snapshot: Snapshot | None = None


Code = tuple[str, Isolation]
"""Code to keep: a working directory and the isolation of its attempts."""


class Task(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task with every default filled in.

    Attributes:
        command: a string for `shell`, or a program with its arguments, run without a shell.
        queue: None: the local queue, which has the name of the run.
        params: passed to the command as environment variables; see `variable_of`.
        arguments: positional params, `$1`, `$2` … of a shell command.
        base_env, env: variables added to the server's own; `env` overrides `base_env`.
        is_literal: whether `env` and the words of the command are used without substitution.
        working_dir: an absolute path; in a task that is not queued yet, may be relative to the current directory.
        shell: the shell for a string; None: /bin/sh, which is then the first process of the attempt.
        timeout: the maximum duration of an attempt in seconds; None: unlimited.
        log_limit: the bytes of output to keep for an attempt, see `long_logs`; None: all.
        requeue: whether a lost run is queued again.
        gpus: the number of GPUs, or particular ones; 0 hides all; None: those of the server's environment.
        gpu_memory: bytes that must be free on each GPU.
        group: a name shared by runs that belong together, such as those of a sweep.
        isolate: None: attempts run in `working_dir` itself.
        outputs: paths and patterns in the working directory to copy to the run's folder at the end.
        stdin: `open`: its standard input is what people send to it; None: it is empty.
        progress: the regular expression for the lines of its output that tell its progress.
        notify: whom to tell of its runs' ends; None: as configured.
        fault: why it cannot be started, if its stored form cannot be read; else None.
    """

    name: str
    command: str | tuple[str, ...]
    working_dir: str = "."
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
    stdin: Literal["open"] | None = None
    progress: str | None = None
    notify: Notify | None = None
    fault: str | None = None

    @property
    def snapshot(self) -> Snapshot | None:
        """Return the code its attempts check out; None if they do not, or if it is not queued yet."""
        return self.isolate.snapshot if self.isolate is not None else None

    @property
    def code(self) -> Code | None:
        """Return the code to keep for its attempts; None if they are not isolated."""
        return None if self.isolate is None else (self.working_dir, self.isolate)

    @property
    def gpu_request(self) -> GpuRequest | None:
        """Return the GPUs it requests; None if it requests none."""
        if not self.gpus:
            return None
        if isinstance(self.gpus, int):
            return GpuRequest(self.gpus, memory=self.gpu_memory)
        return GpuRequest(len(self.gpus), self.gpus, self.gpu_memory)


def is_param(text: str) -> bool:
    """Return True if `text` is valid as the name of a param."""
    return PARAM.fullmatch(text) is not None and not variable_of(text).startswith("AQUEUE_")


def variable_of(param: str) -> str:
    """Return the environment variable for a param.

    Dots become underscores, since many shells, such as dash, drop variables with dots in their names.
    """
    return param.replace(".", "_")
