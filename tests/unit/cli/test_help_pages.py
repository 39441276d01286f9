"""The help pages: what they list, and that what they show works."""

import shlex

import click
import pytest
from click.testing import CliRunner

from aqueue.cli.command_line import cli
from aqueue.cli.examples import EXAMPLES

VERBS = cli.list_commands(click.Context(cli))


def page(*words: str) -> str:
    shown = CliRunner().invoke(cli, [*words, "--help"])
    assert shown.exit_code == 0, shown.output
    return shown.output


def command(verb: str) -> click.Command:
    found = cli.get_command(click.Context(cli), verb)
    assert found is not None
    return found


def test_every_command_is_listed_once_in_a_section() -> None:
    lines = page().split("Queue runs:")[1].splitlines()
    assert sorted(line.split()[0] for line in lines if line.startswith("  ")) == sorted(VERBS)
    assert {"See runs:", "Change runs:", "Run a server:"} <= set(lines)


@pytest.mark.parametrize("verb", VERBS)
def test_a_page_ends_with_examples_and_has_no_words_of_the_parser(verb: str) -> None:
    shown = page(verb)
    for noise in ("RANGE", "INTEGER", "[x>", "TEXT  ", "DIRECTORY", "PATH "):
        assert noise not in shown
    last = shown.rstrip().splitlines()[-len(EXAMPLES[verb]) :]
    assert last == [f"    {example}" for example in EXAMPLES[verb]]


@pytest.mark.parametrize(("verb", "example"), [(verb, one) for verb in EXAMPLES for one in EXAMPLES[verb]])
def test_an_example_is_a_command_line_that_its_command_takes(verb: str, example: str) -> None:
    program, first, *words = shlex.split(example)
    assert (program, first) == ("aqueue", verb)
    command(verb).make_context(verb, words)


@pytest.mark.parametrize("verb", VERBS)
def test_a_short_option_means_the_same_everywhere(verb: str) -> None:
    meanings = {"--name": "-n", "--queue": "-u", "--quiet": "-q", "--verbose": "-v", "--jobs": "-j"}
    if verb == "logs":
        # As in tail(1); it names no run.
        meanings["--tail"] = meanings.pop("--name")
    for param in command(verb).params:
        for long, short in meanings.items():
            assert (short in param.opts) == (long in param.opts), (verb, param.opts)
