"""aqueue: drop a YAML file into a folder and it runs.

From Python:

    from aqueue import Client

    with Client.find() as queue:
        run = queue.add("python train.py", name="train", gpus=1)
        (run,) = queue.wait(run)
"""

__version__ = "0.1.0"

__all__ = ["AqueueError", "Client", "Run", "State", "StuckError", "Task"]

# As in `typing`, which takes a while to import.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from aqueue.client.client import Client
    from aqueue.client.follow import StuckError
    from aqueue.errors import AqueueError
    from aqueue.model.run import Run, State
    from aqueue.model.task import Task
else:
    _HOMES = {
        "AqueueError": "aqueue.errors",
        "Client": "aqueue.client.client",
        "Run": "aqueue.model.run",
        "State": "aqueue.model.run",
        "StuckError": "aqueue.client.follow",
        "Task": "aqueue.model.task",
    }

    def __getattr__(name):
        """Import what is asked for: the command line needs none of it, and must be instant."""
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)

    def __dir__():
        """Return also the names that are imported only when they are asked for."""
        return sorted({*globals(), *__all__})
