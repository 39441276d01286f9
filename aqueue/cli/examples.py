"""The examples on the help page of each command."""

from collections.abc import Mapping
from typing import Final

EXAMPLES: Final[Mapping[str, tuple[str, ...]]] = {
    "add": (
        "aqueue add python train.py --lr 0.1",
        "aqueue add -n train -u gpu --gpus 1 --timeout 4h 'python train.py > out.txt'",
        "aqueue add --param lr=0.1 --retries 2 'python train.py --lr $lr'",
    ),
    "enqueue": (
        "aqueue enqueue train.yaml",
        "aqueue enqueue -u gpu train.yaml -- 'lr=[0.1,0.01]' 'seed=range(1,5)'",
    ),
    "check": ("aqueue check train.yaml queue/aqueue.yaml",),
    "schema": ("aqueue schema config", "aqueue schema --vscode"),
    "ls": (
        "aqueue ls --failed --since yesterday",
        "aqueue ls --watch",
        "aqueue ls --columns id,state,lr,accuracy,why --sort -accuracy",
        "aqueue ls --group train --metrics --sort -accuracy",
    ),
    "status": ("aqueue status --json",),
    "show": ("aqueue show 42",),
    "why": ("aqueue why 42", "aqueue why --json train"),
    "logs": ("aqueue logs -f 42", "aqueue logs -n 20 --failed --group train"),
    "wait": ("aqueue wait 41 42", "aqueue wait --group train"),
    "compare": ("aqueue compare --group train -x lr -y accuracy --by seed",),
    "gpus": ("aqueue gpus",),
    "schedules": ("aqueue schedules",),
    "cancel": ("aqueue cancel 42", "aqueue cancel 21-40", "aqueue cancel --queued -u gpu"),
    "edit": ("aqueue edit 42", "aqueue edit 21-40 --priority high --timeout 2h", "aqueue edit 42 --param lr=0.2"),
    "send": ("aqueue send 42 yes", "aqueue send 42 --eof"),
    "move": ("aqueue move 42 --first", "aqueue move --group train --before 42"),
    "retry": ("aqueue retry 42", "aqueue retry --group train --failed", "aqueue retry --edit 42"),
    "hold": ("aqueue hold 42", "aqueue hold --all"),
    "release": ("aqueue release 42", "aqueue release --all"),
    "prune": ("aqueue prune --keep 7d", "aqueue prune --failed", "aqueue prune 21-40"),
    "dequeue": ("aqueue dequeue gpu",),
    "pause": ("aqueue pause gpu", "aqueue pause --schedule nightly"),
    "resume": ("aqueue resume gpu",),
    "init": ("aqueue init",),
    "serve": ("aqueue serve -j 2", "aqueue serve --drain"),
    "start": ("aqueue start -j 2 --idle-timeout never",),
    "stop": ("aqueue stop",),
    "service": ("aqueue service install --now -j 2", "aqueue service logs -f"),
    "notify": ("aqueue notify test phone", "aqueue notify ls"),
}


def examples_of(verb: str) -> str:
    """Return the examples of a command as the end of its help page."""
    examples = EXAMPLES[verb]
    lines = ["\b", "Example:" if len(examples) == 1 else "Examples:", *(f"  {example}" for example in examples)]
    return "\n".join(lines)
