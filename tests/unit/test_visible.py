import ast
import json
import unicodedata
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import aqueue
from aqueue.visible import visible, visible_json, visible_line

PACKAGE = Path(aqueue.__file__).parent
# What prints as it is: tables of texts that are made visible one by one, and what is for programs.
ALONE_WITH_ECHO = {
    "cli/output.py": {"say"},
    "cli/tables.py": {"print_json", "print_lines"},
    "cli/columns.py": {"print_csv"},
}


@given(st.text())
def test_no_control_character_is_left_but_ends_of_lines_and_tabs(text: str) -> None:
    for letter in visible(text):
        assert letter in "\n\t" or unicodedata.category(letter) != "Cc"
        assert unicodedata.bidirectional(letter) not in (
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        )
    assert "\n" not in visible_line(text)


@given(st.text())
def test_a_json_document_means_the_same(text: str) -> None:
    document = visible_json(json.dumps([text], ensure_ascii=False))
    assert json.loads(document) == [text]
    assert visible(document) == document


def test_what_is_harmless_stays_and_the_rest_is_spelled_out() -> None:
    assert visible("naïve 日本語 👩‍💻\tx\ny") == "naïve 日本語 👩‍💻\tx\ny"
    assert visible("\x1b[31m\x9b\u202e\r") == r"\x1b[31m\x9b\u202e\x0d"
    assert visible_line("a\nb") == r"a\nb"


def test_what_is_printed_for_people_goes_through_one_place() -> None:
    """`click.echo` elsewhere would print what others have written as it is; use `output.say`."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            names = {node.attr for node in ast.walk(function) if isinstance(node, ast.Attribute)}
            if names & {"echo", "secho"}:
                found.setdefault(str(path.relative_to(PACKAGE)), set()).add(function.name)
    assert found == ALONE_WITH_ECHO
