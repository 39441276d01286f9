"""Commands that pass some of their words on: those of a queued command, or of params."""

import functools
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import click

from aqueue.cli.options import COUNT, NUMBER, F

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class WordsOfACommand(click.Command):
    """A command whose options end at the first other word; all later words belong to the queued command."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.allow_interspersed_args = False

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the params; without options while the words of the queued command are completed."""
        params = super().get_params(ctx)
        return [param for param in params if param.param_type_name == "argument"] if _has_begun(ctx) else params

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list["CompletionItem[Any]"]:
        """Return the options that begin with the typed text; none among the words of the queued command."""
        return [] if _has_begun(ctx) else super().shell_complete(ctx, incomplete)


_AFTER_DASHES = "aqueue.after_dashes"


def complete_file_or_param(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list["CompletionItem[Any]"]:
    """Let the shell complete the name of a file; after `--`, return the params of the files."""
    if not ctx.meta.get(_AFTER_DASHES):
        return complete_file(ctx, param, incomplete)
    # Imported here: only completion needs it.
    from click.shell_completion import CompletionItem

    from aqueue.cli.completion import params_of_files

    given = {word.partition("=")[0] for word in ctx.params["params"]}
    found = params_of_files(ctx, ctx.params["files"])
    return [
        CompletionItem(word) for name, word in found.items() if name not in given and word.startswith(incomplete)
    ]


def complete_file(ctx: click.Context, param: click.Parameter, incomplete: str) -> list["CompletionItem[Any]"]:  # noqa: ARG001 - click's signature
    """Let the shell complete the name of a file."""
    # Imported here: only completion needs it.
    from click.shell_completion import CompletionItem

    return [CompletionItem(incomplete, type="file")]


class FilesThenParams(click.Command):
    """A command that takes all words after `--` as `params`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words before `--`, and keep the rest."""
        end = args.index("--") if "--" in args else len(args)
        own, params = args[:end], tuple(args[end + 1 :])
        if params and not own and not ctx.resilient_parsing:
            raise click.UsageError(
                f"there is no FILE before --\nname one: aqueue {self.name} FILE -- PARAMS…", ctx
            )
        left = super().parse_args(ctx, own)
        ctx.params["params"] = params
        ctx.meta[_AFTER_DASHES] = end < len(args)
        return left

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the words of the usage line."""
        return [*super().collect_usage_pieces(ctx), "[-- PARAMS…]"]


class ParamWords(NamedTuple):
    """The params of a command line, as written.

    Attributes:
        words: the words after `--`.
        new: the values of `--new`.
    """

    words: tuple[str, ...]
    samples: int | None
    seed: int | None
    new: tuple[str, ...]


def param_options(command: F) -> F:
    """Give a command that takes words after `--` the options that go with them, as `given`."""

    @functools.wraps(command)
    def with_params(
        *, params: tuple[str, ...], samples: int | None, seed: int | None, new: tuple[str, ...], **others: Any
    ) -> Any:
        return command(given=ParamWords(params, samples, seed, new), **others)

    options = (
        click.option(
            "--new", metavar="K=V", multiple=True, help="Add a param that the files do not have; may be repeated."
        ),
        click.option("--samples", type=COUNT, metavar="N", help="Run N combinations, picked at random."),
        click.option("--seed", type=NUMBER, metavar="N", help="Seed for --samples (default: 0)."),
    )
    with_options: Any = with_params
    for option in reversed(options):
        with_options = option(with_options)
    return cast("F", with_options)


def _has_begun(ctx: click.Context) -> bool:
    return ctx.resilient_parsing and bool(ctx.params.get("command"))
