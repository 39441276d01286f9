"""Checks for params that look like several values, which only a matrix can have."""

from typing import Any, Final

from aqueue.formats.lookalikes import meant_by
from aqueue.formats.task_keys import Keys
from aqueue.formats.yaml_calls import CALL
from aqueue.formats.yaml_document import Document
from aqueue.formats.yaml_records import words_of
from aqueue.formats.yaml_values import describe
from aqueue.model.values import plain_text

_SHOWN: Final = 3


def check(document: Document) -> None:
    """Check that no param has several values, or text that means several in a matrix.

    Raises:
        FileError: at the first of them.
    """
    written = document.written if isinstance(document.written, dict) else {}
    params = written.get("params")
    for name, value in params.items() if isinstance(params, dict) else ():
        at = ("params", name)
        if isinstance(value, list | dict):
            message = f"params.{name}: expected {words_of(Keys)['params']}, got {describe(value)}"
            raise document.error(message, _hint(name, value), at=at)
        if isinstance(value, str) and not document.is_quoted(at) and (CALL.match(value) or meant_by(value)):
            message = f"params.{name}: {describe(value)} would be a single text here"
            several = f"matrix: {{{name}: {meant_by(value) or value}}}"
            hint = f"for a run of each value, write {several}; if it is text, put it in quotes"
            raise document.error(message, hint, at=at)


def _hint(name: str, value: Any) -> str:
    if isinstance(value, dict):
        key = next(iter(value), "lr")
        return f"write the whole name of each: {{{name}.{key}: …}}"
    if any(isinstance(one, list | dict) for one in value):
        return "put it in quotes if it is text"
    texts = [plain_text(one) for one in value]
    if len(texts) == 1 and (meant := meant_by(texts[0])):
        several = meant
    else:
        several = f"[{', '.join(texts[:_SHOWN])}{', …' if len(texts) > _SHOWN else ''}]"
    return f"for a run of each value, write matrix: {{{name}: {several}}}"
