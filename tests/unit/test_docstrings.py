"""The house style of docstrings, as far as a program can hold it: see CONTRIBUTING.md."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted(path for part in ("aqueue", "tests", "examples") for path in (ROOT / part).rglob("*.py"))

# A function's docstring begins with a verb, a class's with a noun; these begin a clause instead.
QUESTION = re.compile(r"(What|Whatever|Whether|Which|Who|Whoever|How|Where|That)\b")


def docstrings(tree: ast.AST) -> Iterator[str]:
    """Return the texts that stand alone: docstrings, and those below an attribute."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield node.value.value


def test_no_docstring_begins_with_a_question() -> None:
    found = [(path, text) for path in FILES for text in docstrings(ast.parse(path.read_text(encoding="utf-8")))]
    assert not [(path, text) for path, text in found if QUESTION.match(text)]
