"""The shell script that runs around every command, and what its exit codes mean.

It keeps the fence (see `process`), writes the command's output and exit code down, and does what has to be done in
the working directory right before and after the command: whoever does that has to outlive the server.
"""

import shlex
from functools import cache
from typing import Final

from aqueue.isolation.plan import PROGRAM

FENCED: Final = 123
"""The wrapper's exit code when it ran nothing, because there was a fence already."""

NO_FENCE: Final = 119
"""The same, where there was no room to make the fence or the log."""

NO_WORKING_DIR: Final = 122
"""The wrapper's exit code when it could not enter the working directory."""

NO_CHECKOUT: Final = 121
"""The wrapper's exit code when it could not have the checkout that the command was to run in."""

NO_ROOM: Final = 120
"""The same, where the disk is full."""

NO_PROCESS: Final = 118
"""The wrapper's exit code when it could not have a process for the command."""

REFUSALS: Final = (NO_PROCESS, NO_ROOM, NO_CHECKOUT, NO_WORKING_DIR)
"""The exit codes behind which a wrapper that did not run the command says why."""

UNFINISHED: Final = "unfinished"
"""The remark behind the command's exit code where there was no process to save its outputs with."""

_MAX_METRICS: Final = (1 << 20) + 1

_IDENTITY: Final = (
    "$(stat -L -c '%i %y %s' metrics.json 2>/dev/null || stat -L -f '%i %Fm %z' metrics.json 2>/dev/null)"
)

# For the file of that suffix: the command has put a link in its place, or in that of the run's directory.
_IS_LINKED: Final = '{{ [ -h "$1{}" ] || [ -h "${{1%/*}}" ]; }}'

_NO_METRICS: Final = """\
echo "aqueue: metrics.json was not read, as no process could be had for that" >>"$1.log"; echo "$2" >>"$1.pid\""""

# A subshell takes the wrapper's parent, the server, for its own, unless it is told that the wrapper is. Where it
# cannot be told, as in bash, another shell runs the command.
_BE_PARENT: Final = "command unset PPID && PPID=$$"

_HAVE_PARENT: Final = """\
[ $PPID = $$ ] || { shift 4; exec "$0" -c 'eval "shift
$1"' "$0" "$@"; }"""


# $1 is the path of the attempt's files, $2 the working directory, $3 what makes the wrapper's environment the
# command's (see `handover`), the rest what to run. The wrapper ignores what its group is told to do by catching
# it: unlike an ignored signal, a caught one has its default effect again in the command. A second shell for the
# command would cost as much time as all the rest. The log is opened for the command alone, as shells say
# "Terminated" and the like; and before the fence, so that on a full disk nothing has begun. `true`, because a
# shell may exit when a redirection of `:` or `exec` fails. Variables have names that are aqueue's own, as a shell
# command sees them. A metrics.json that was there before and is as it was then is of another run; GNU and BSD ask
# for that in different words. A shell that cannot fork exits with its trap for that.
def _wrapper(before: str = "", after: str = "", at_worst: str = _NO_METRICS) -> str:
    return f"""\
true >>"$1.log" || exit {NO_FENCE}
set -C
{{ echo $$ || exit {NO_FENCE}; }} >"$1.pid" || {{ [ -e "$1.pid" ] && exit {FENCED}; exit {NO_FENCE}; }}
set +C
trap : HUP INT QUIT ALRM TERM USR1 USR2
trap 'echo "{NO_PROCESS} no process" >>"$1.pid"; exit {NO_PROCESS}' EXIT
{before}if cd "$2"; then
  unset OLDPWD
  if [ -f metrics.json ]; then AQUEUE_BEFORE={_IDENTITY}; fi
  case $4 in
    "") {_BE_PARENT}
      (eval "$3"; {_HAVE_PARENT}; eval "shift 5
$5") >>"$1.log" 2>&1 ;;
    *) (eval "$3"; shift 3; exec "$@") >>"$1.log" 2>&1 ;;
  esac
  set -- "$1" $?
  trap '{at_worst}; exit $2' EXIT
  if [ -f metrics.json ] && [ "$AQUEUE_BEFORE" != "{_IDENTITY}" ]; then
    {_IS_LINKED.format(".metrics.json")} || head -c {_MAX_METRICS} metrics.json >"$1.metrics.json"
  fi
{after}else
  set -- "$1" "{NO_WORKING_DIR} no working directory"
fi
trap - EXIT
{_IS_LINKED.format(".pid")} || echo "$2" >>"$1.pid"
exit ${{2%% *}}
"""


def script(*, has_plan: bool, open_files: int | None) -> str:
    """Return the wrapper of an attempt.

    Args:
        has_plan: whether there is a plan for a checkout, or for what to do with outputs; see `checkout`.
        open_files: how many files the command may have open; None: as many as the server.
    """
    text = with_plan() if has_plan else PLAIN
    if open_files is None:
        return text
    # Before all others: it lets the command have so many files open.
    return f"ulimit -S -n {open_files if open_files >= 0 else 'unlimited'} 2>/dev/null\n{text}"


PLAIN: Final = _wrapper()
"""The wrapper of an attempt that has no plan."""


@cache
def with_plan() -> str:
    """Return the wrapper of an attempt with a plan: a program makes its checkout and saves its outputs."""
    program = shlex.join(PROGRAM)
    make = f"""\
AQUEUE_WHY=$({program} make "$1" 2>>"$1.log")
AQUEUE_CODE=$?
if [ $AQUEUE_CODE != 0 ]; then
  trap - EXIT
  case $AQUEUE_CODE in {NO_ROOM} | {NO_PROCESS}) ;; *) AQUEUE_CODE={NO_CHECKOUT} ;; esac
  printf '%s\\n' "$AQUEUE_CODE ${{AQUEUE_WHY:-it was interrupted}}" >>"$1.pid"
  exit $AQUEUE_CODE
fi
"""
    finish = f"""\
  cd /
  {_IS_LINKED.format(".log")} || {program} finish "$1" "$2" >>"$1.log" 2>&1
"""
    return _wrapper(make, finish, f'echo "$2 {UNFINISHED}" >>"$1.pid"')
