"""Run every check with tox, on each Python that this machine has; arguments go to tox.

tox finds interpreters on the PATH. Those that pyenv has installed need not be there, so they are added to it.
"""

import os
import subprocess
import sys
from pathlib import Path

PYENV = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")


def main() -> int:
    """Run tox with pyenv's interpreters at the end of the PATH, and return its exit code."""
    found = [str(directory) for directory in sorted((PYENV / "versions").glob("3.*/bin"))]
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *found])
    command = [sys.executable, "-m", "tox", *sys.argv[1:]]
    return subprocess.run(command, env=os.environ | {"PATH": path}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
