"""A script that restores variables which a shell would have changed, and then becomes the command.

The wrapper runs it in place of the command if there are such variables; see `handover`:

    python -I -S restore.py PROGRAM ARGUMENT...

It imports nothing from aqueue, and as little else as possible.
"""

import errno
import os
import signal
import sys

GIVEN = b"AQUEUE_GIVEN_"
"""The prefix of variables whose value is the name and value of another variable."""

_BY_PYTHON = b"LC_CTYPE"
"""The variable that Python sets itself if no locale is set."""

_NOT_THERE = (errno.ENOENT, errno.ENOTDIR)


def restored(environment: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Return the environment with the restored variables."""
    before = {}
    given = {}
    for name, value in environment.items():
        if name.startswith(GIVEN):
            other, _, value = value.partition(b"=")
            given[other] = value
        elif name != _BY_PYTHON:
            before[name] = value
    return before | given


def become(words: list[str], environment: dict[bytes, bytes]) -> int:
    """Replace this process by a program, as a shell does with exec.

    Returns:
        the exit code of a shell that cannot start the program.
    """
    try:
        try:
            os.execvpe(words[0], words, environment)  # noqa: S606 - the command is the user's
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            # It has no #! line.
            os.execve("/bin/sh", ["/bin/sh", error.filename, *words[1:]], environment)  # noqa: S606 - as above
    except OSError as error:
        is_missing = error.errno in _NOT_THERE
        sys.stderr.write(f"{words[0]}: {'not found' if is_missing else error.strerror}\n")
        return 127 if is_missing else 126


if __name__ == "__main__":
    # Python ignores the first two, and the command would inherit that.
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    sys.exit(become(sys.argv[1:], restored(dict(os.environb))))
