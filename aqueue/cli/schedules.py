"""The command that shows schedules."""

from collections.abc import Iterator

import click

from aqueue.cli import tables
from aqueue.cli.context import find_folder
from aqueue.cli.messages import print_warning
from aqueue.cli.options import directory_option
from aqueue.cli.output import say
from aqueue.client import due_times
from aqueue.client.schedules import all_schedules
from aqueue.client.session import config_or_default, now, reading
from aqueue.client.untaken import Kind, untaken
from aqueue.client.views.schedules import schedules_as_json
from aqueue.folder.rejected import IN_FORCE
from aqueue.model.run import Run
from aqueue.model.schedule import Overlap, StoredSchedule
from aqueue.units import spell


@click.command()
@directory_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def schedules(directory: str | None, as_json: bool) -> None:
    """Show schedules and when they are due."""
    folder = find_folder(directory)
    with reading(folder) as store:
        found = all_schedules(store)
        refused = [one for one in untaken(store, folder, config_or_default(folder)) if one.kind is Kind.REFUSED]
    if as_json:
        tables.print_json(schedules_as_json(found))
        return
    for stored, last in found:
        say(f"  {due_times.in_words(stored.schedule)}", head=click.style(stored.name, bold=True))
        for label, text in _facts(stored, last):
            say(f"  {label:<8} {text}")
    told = {stored.file for stored, _ in found if stored.error is not None}
    for one in refused:
        if one.file not in told:
            print_warning(one.reason)
    if not found:
        say("there are no schedules; a task file with `schedule:` makes one")
    elif config_or_default(folder, print_warning).disabled_by:
        say("queues are disabled: due runs start anyway, but missed times are not made up for")


def _facts(stored: StoredSchedule, last: Run | None) -> Iterator[tuple[str, str]]:
    schedule = stored.schedule
    if stored.paused:
        yield "next", f"paused; `aqueue resume --schedule {stored.name}` resumes it"
    else:
        is_due = stored.next_due is not None and stored.next_due <= now()
        never = "once a server is running" if is_due else "never again"
        yield (
            "next",
            ", ".join(due_times.at_home(schedule, due) for due in due_times.upcoming(stored)) or never,
        )
    if last is not None:
        why = f": {last.reason}" if last.reason else ""
        took = tables.took(last, now())
        yield (
            "last",
            f"{tables.local(last.scheduled_for)}, run {last.id}, {last.state}{took and f' after {took}'}{why}",
        )
    window = f"window of {spell(schedule.catchup_window)}" if schedule.catchup_window else "no window"
    yield "catchup", f"{window}, {stored.missed} missed"
    if schedule.overlap is not Overlap.ALL:
        yield "overlap", str(schedule.overlap)
    yield "file", str(stored.file)
    if stored.error is not None:
        is_in_force = stored.next_due is not None or stored.paused
        yield "error", "; ".join([*stored.error.splitlines(), *([IN_FORCE] if is_in_force else [])])
