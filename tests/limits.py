"""Programs that may have few processes, although this may be root, whom the system grants as many as there are."""

import os
import shutil

import pytest

NOBODY = 54321
"""The id of a user who owns nothing and has no process."""


def few_processes(number: int | None = None) -> list[str]:
    """Return what a command begins with whose user may have so many processes, itself among them.

    Without a number, it is a user for whom there is such a limit, and who has not reached it. Of an ordinary
    user all processes count, those of the tests as well.
    """
    if not shutil.which("prlimit") or (os.geteuid() == 0 and not shutil.which("setpriv")):
        pytest.skip("there is no prlimit, or no setpriv, to limit processes with")
    limited = [] if number is None else ["prlimit", f"--nproc={number}"]
    if os.geteuid():
        return limited
    return [
        "setpriv",
        f"--reuid={NOBODY}",
        "--clear-groups",
        "--inh-caps=+dac_override,+dac_read_search",
        "--ambient-caps=+dac_override,+dac_read_search",
        "--bounding-set=-sys_resource,-sys_admin",
        *limited,
    ]
