"""The command line: all commands, each imported only when it is used."""

import os
import sys
from importlib import import_module
from typing import Any

import click

from aqueue import __version__
from aqueue.cli import output
from aqueue.cli.output import say
from aqueue.errors import AqueueError, advice, is_without_process
from aqueue.loading import without_collection

_SECTIONS = {
    "Queue runs": {
        "add": ("submit", "Queue one command."),
        "enqueue": ("submit", "Queue the tasks of files."),
        "check": ("submit", "Check task files without queueing them."),
        "schema": ("schema", "Print the JSON Schema of task files, for editors."),
    },
    "See runs": {
        "ls": ("listing", "List runs."),
        "status": ("status", "Show servers, queues, GPUs and schedules."),
        "show": ("details", "Show the details of a run."),
        "why": ("why", "Say why a run waits or failed, and what to do."),
        "logs": ("logs", "Show the output of a run."),
        "wait": ("follow", "Wait until runs end."),
        "compare": ("compare", "Compare a metric of runs, as a table or a plot."),
        "gpus": ("gpus", "Show GPUs, what runs on them, and which runs wait for them."),
        "schedules": ("schedules", "Show schedules and when they are due."),
    },
    "Change runs": {
        "cancel": ("runs", "Stop running runs and remove queued ones."),
        "edit": ("edit", "Change what waiting runs are to do."),
        "move": ("move", "Move waiting runs before or after others."),
        "send": ("send", "Send a line to the input of a run."),
        "retry": ("runs", "Queue finished runs again."),
        "hold": ("runs", "Keep queued runs from starting."),
        "release": ("runs", "Let held runs start."),
        "prune": ("runs", "Delete old finished runs."),
        "dequeue": ("queues", "Remove a run from a queue."),
        "pause": ("queues", "Pause a queue or a schedule."),
        "resume": ("queues", "Resume a queue or a schedule."),
    },
    "Run a server": {
        "init": ("servers", "Create a folder."),
        "serve": ("servers", "Run the task files in a folder, until Ctrl-C."),
        "start": ("servers", "Start a server in the background."),
        "stop": ("servers", "Stop the servers after running tasks finish."),
        "service": ("service", "Serve a folder from login or boot on, by systemd."),
        "notify": ("notify", "Test who is told how runs end."),
    },
}
"""All commands, each with its module and a line of help, in the sections of `--help`."""

_COMMANDS = {verb: command for section in _SECTIONS.values() for verb, command in section.items()}


class _Commands(click.Group):
    """The group of all commands, which does not import them: `--help` must be instant."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        if cmd_name not in _COMMANDS:
            return None
        with without_collection():
            module = import_module(f"aqueue.cli.{_COMMANDS[cmd_name][0]}")
            from aqueue.cli.examples import examples_of
        command: click.Command = getattr(module, "list_" if cmd_name == "ls" else cmd_name)
        command.epilog = examples_of(cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        widest = max(map(len, _COMMANDS))
        for section, commands in _SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(verb.ljust(widest), text) for verb, (_, text) in commands.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS and not args[0].startswith("-"):
            # Imported here: only a mistake needs it.
            from aqueue.cli.suggestions import suggestions

            meant = " or ".join(f"'{verb}'" for verb in suggestions(args[0].lower(), [*_COMMANDS]))
            hint = f"did you mean {meant}?" if meant else "`aqueue --help` lists the commands"
            raise click.UsageError(f"there is no command '{args[0]}'\n{hint}")
        return super().resolve_command(ctx, args)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="aqueue", message="%(prog)s %(version)s")
@click.option(
    "--dir", "directory", metavar="DIR", help="Folder to use (default: $AQUEUE_DIR, else the nearest queue/)."
)
@click.pass_context
def cli(ctx: click.Context, directory: str | None) -> None:
    """A task queue for one machine: drop a YAML file into a folder, and it runs.

    `aqueue serve` runs the task files in ./queue. The other commands queue, show and change runs, whether or not
    a server is running. `aqueue COMMAND --help` shows what a command takes.

    RUN is the id of a run, NAME:RUN_ID, or a name or RUN_ID that only one run has. Where several can be given, it
    is also a range of ids, such as 21-40.
    """
    ctx.obj = directory


def run(arguments: list[str]) -> int:
    """Run the command line, and return its exit code; a user's mistake gives no traceback."""
    output.prepare()
    if "_AQUEUE_COMPLETE" in os.environ:
        from aqueue.cli.bash_words import register

        register()
    try:
        result: Any = cli.main(args=arguments, prog_name="aqueue", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        say(error.format_message(), err=True)
        return error.exit_code
    except click.ClickException as error:
        _print_error(error.format_message(), "")
        if isinstance(error, click.UsageError) and error.ctx is not None and error.ctx.info_name != "aqueue":
            say(f"see `{error.ctx.command_path} --help`", err=True)
        return error.exit_code
    except AqueueError as error:
        for message, hint in error.problems():
            _print_error(message, hint)
        return error.exit_code
    except UnicodeEncodeError:
        _print_error("the command, a param or a path is not UTF-8", "rename it, or put the command into a script")
        return 2
    except (KeyboardInterrupt, click.Abort):
        return 130
    except BrokenPipeError:
        # The reader of the output has closed it.
        output.abandon()
        return 141
    except OSError as error:
        if error.filename == output.NAME:
            output.abandon()
            _print_error(f"standard output cannot be written: {error.strerror}", "")
            return 1
        where = f"{error.filename}: " if error.filename else ""
        what = "no process can be started: " if is_without_process(error) else where
        _print_error(f"{what}{error.strerror}", advice(error, "check its permissions, and that it still exists"))
        return 1
    return result if isinstance(result, int) else 0


def _print_error(message: str, hint: str) -> None:
    say(message, err=True, head=click.style("error: ", fg="red"))
    if hint:
        say(hint, err=True)
