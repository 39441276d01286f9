"""Records to test with: each has what a test does not say."""

from typing import Any

from aqueue.model.run import Run, State, Trigger
from aqueue.model.task import Priority, Task


def a_task(**changes: Any) -> Task:
    """A task, with these changes."""
    plain: dict[str, Any] = {"name": "train", "command": "true", "working_dir": "/"}
    return Task(**plain | changes)


def a_run(task: Task | None = None, **changes: Any) -> Run:
    """A run of `task` in its first attempt, with these changes."""
    task = task or a_task()
    plain: dict[str, Any] = {
        "id": 1,
        "name": task.name,
        "run_id": "a1b2",
        "queue": task.queue or task.name,
        "priority": Priority.LOW,
        "state": State.RUNNING,
        "reason": None,
        "trigger": Trigger.FILE,
        "task": task,
        "created_at": 1000.0,
        "ready_at": None,
        "started_at": 1001.0,
        "finished_at": None,
        "scheduled_for": None,
        "attempt": 1,
        "failures": 0,
        "losses": 0,
        "exit_code": None,
        "signal": None,
        "server": "here",
        "cancel": None,
    }
    return Run(**plain | changes)
