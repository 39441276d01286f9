"""The shell script that runs around every command, and the meaning of its exit codes.

It maintains the fence (see `process`), records the command's output and exit code, and does the work right before
and after the command, such as reading metrics.json: that must not depend on the server, which may die.
"""

import shlex
from functools import cache
from typing import Final

from aqueue.isolation.plan import PROGRAM

FENCED: Final = 123
"""The wrapper's exit code when it ran nothing, because a fence already existed."""

NO_FENCE: Final = 119
"""The exit code when there was no room for the fence or the log."""

NO_WORKING_DIR: Final = 122
"""The wrapper's exit code when it could not enter the working directory."""

NO_CHECKOUT: Final = 121
"""The wrapper's exit code when the checkout for the command could not be made."""

NO_ROOM: Final = 120
"""The exit code when the disk was too full for the checkout."""

NO_PROCESS: Final = 118
"""The wrapper's exit code when no process could be created for the command."""

REFUSALS: Final = (NO_PROCESS, NO_ROOM, NO_CHECKOUT, NO_WORKING_DIR)
"""The exit codes that the wrapper, if it did not run the command, records with a reason."""

UNFINISHED: Final = "unfinished"
"""The remark after the command's exit code when no process could be created to save its outputs."""

_MAX_METRICS: Final = (1 << 20) + 1

_IDENTITY: Final = (
    "$(stat -L -c '%i %y %s' metrics.json 2>/dev/null || stat -L -f '%i %Fm %z' metrics.json 2>/dev/null)"
)

# True if the command replaced the file with that suffix, or the run's directory, by a symbolic link.
_IS_LINKED: Final = '{{ [ -h "$1{}" ] || [ -h "${{1%/*}}" ]; }}'

_NO_METRICS: Final = """\
echo "aqueue: metrics.json was not read, because no process could be created" >>"$1.log"; echo "$2" >>"$1.pid\""""

# In a subshell, PPID is still the wrapper's parent, the server, unless it is set anew. Where it cannot be set, as
# in bash, another shell runs the command.
_BE_PARENT: Final = "command unset PPID && PPID=$$"

_HAVE_PARENT: Final = """\
[ $PPID = $$ ] || { shift 4; exec "$0" -c 'eval "shift
$1"' "$0" "$@"; }"""


# A pipe with a name, beside the log, is the command's input. A reader sees its end when nobody has it open for
# writing. So a process holds it open until it gets a byte through a second pipe: from whoever ends the input, or
# from the wrapper. It is not a child of the wrapper, whose only child is the command. The wrapper keeps the input
# open for reading, so that a sender finds it however early it comes.
_OPEN_INPUT: Final = """\
  exec 5<>"$1.stdin-end" 8<>"$1.stdin" 7<"$1.stdin" 6>"$1.stdin" 8<&-
  ( (exec head -c 1 <&5 >/dev/null 2>&1 5<&- 7<&-) & )
  exec 5<&- 6>&-
"""

_CLOSE_INPUT: Final = """\
  exec 7<&-
  { echo; } 1<>"$1.stdin-end"
"""


# $1 is the path of the attempt's files, $2 the working directory, $3 the commands that restore the environment
# (see `handover`), and the rest is what to run. The wrapper ignores signals to its group by catching them: unlike
# an ignored signal, a caught one has its default action again in the command. A second shell for the command would
# take as long as everything else together. The log is opened only for the command, because shells print messages
# such as "Terminated"; and it is opened before the fence, so that on a full disk nothing has begun. `true` is used
# because a shell may exit when a redirection of `:` or `exec` fails. Variables are named AQUEUE_…, because a shell
# command sees them. A metrics.json that is unchanged since before the command belongs to another run; GNU and BSD
# stat have different options for that. A shell that cannot fork exits through its EXIT trap.
def _wrapper(before: str = "", after: str = "", at_worst: str = _NO_METRICS, *, has_input: bool = False) -> str:
    opening, given, closing = (_OPEN_INPUT, " <&7 7<&-", _CLOSE_INPUT) if has_input else ("", "", "")
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
{opening}  case $4 in
    "") {_BE_PARENT}
      (eval "$3"; {_HAVE_PARENT}; eval "shift 5
$5") >>"$1.log" 2>&1{given} ;;
    *) (eval "$3"; shift 3; exec "$@") >>"$1.log" 2>&1{given} ;;
  esac
  set -- "$1" $?
{closing}  trap '{at_worst}; exit $2' EXIT
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


def script(*, has_plan: bool, open_files: int | None, has_input: bool = False) -> str:
    """Return the wrapper of an attempt.

    Args:
        has_plan: whether there is a plan for a checkout or for outputs; see `checkout`.
        open_files: the limit on the command's open files; None: that of the server.
        has_input: whether there is an input for the command; see `attempt_input`.
    """
    text = _script(has_plan, has_input) if has_plan or has_input else PLAIN
    if open_files is None:
        return text
    # The first line, so that the limit applies to the command.
    return f"ulimit -S -n {open_files if open_files >= 0 else 'unlimited'} 2>/dev/null\n{text}"


PLAIN: Final = _wrapper()
"""The wrapper of an attempt without a plan."""


@cache
def _script(has_plan: bool, has_input: bool) -> str:
    """Return a wrapper; where there is a plan, a program makes the checkout and saves the outputs."""
    if not has_plan:
        return _wrapper(has_input=has_input)
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
    return _wrapper(make, finish, f'echo "$2 {UNFINISHED}" >>"$1.pid"', has_input=has_input)
