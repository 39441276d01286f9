"""The command that says why a run waits or failed."""

from collections.abc import Iterable

import click

from aqueue.cli import tables
from aqueue.cli.completion import complete_run
from aqueue.cli.context import find_folder
from aqueue.cli.messages import print_warning
from aqueue.cli.options import directory_option
from aqueue.cli.output import say
from aqueue.client.views.why import explanation_as_json
from aqueue.client.why import Comparison, Explanation, explain
from aqueue.model.diagnosis import Certainty
from aqueue.policy.run_differences import Difference

_LONGEST = 60


@click.command()
@directory_option
@click.argument("run", shell_complete=complete_run)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def why(directory: str | None, run: str, as_json: bool) -> None:
    """Say why a run waits or failed, and what to do next.

    Of a failed run, this shows the verdict, the evidence for it, the lines of the output that tell the most, and
    what differs from the most similar run that succeeded.
    """
    found = explain(find_folder(directory), run, print_warning)
    if as_json:
        tables.print_json(explanation_as_json(found))
    else:
        _print(found)


def _print(found: Explanation) -> None:
    diagnosis = found.diagnosis
    guess = " (a guess)" if diagnosis.certainty is Certainty.GUESS else ""
    _print_labelled("run", [f"{found.run.id}  {found.run.name}, {_state(found)}"])
    _print_labelled("verdict", [f"{diagnosis.verdict}{guess}"])
    _print_labelled("evidence", diagnosis.evidence)
    if found.lines:
        _print_labelled("output", [str(found.log)])
        for line in found.lines:
            say(f"  | {line}")
    if found.comparison is not None:
        _print_labelled("differs", _lines_of(found.comparison))
    _print_labelled("next", diagnosis.next_steps)


def _state(found: Explanation) -> str:
    number = "" if found.attempt is None or found.attempt.number == 1 else f" (attempt {found.attempt.number})"
    reason = f": {found.run.reason}" if found.run.reason else ""
    return f"{found.run.state}{number}{reason}"


def _lines_of(comparison: Comparison) -> list[str]:
    same = "group" if comparison.is_of_group else "name"
    head = f"from run {comparison.run.id} {comparison.run.name}, which succeeded (same {same}):"
    code = [] if comparison.code is None else comparison.code.splitlines()
    changes = [f"  {_change(one)}" for one in comparison.differences] or ["  nothing that aqueue knows"]
    return [head, *changes, *(f"    {line}" for line in code)]


def _change(one: Difference) -> str:
    return f"{one.what}: {_short(one.before)} → {_short(one.after)}"


def _short(text: str | None) -> str:
    if text is None:
        return "none"
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _print_labelled(label: str, lines: Iterable[str]) -> None:
    """Print lines with a label before the first."""
    for index, line in enumerate(lines):
        say(line, head=click.style(f"{'' if index else label:<9} ", bold=True))
