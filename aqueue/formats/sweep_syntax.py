"""The syntax for several values of a param, in a task file and on a command line. Pure."""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal, localcontext
from typing import Any

from aqueue.errors import FileError
from aqueue.formats.lookalikes import (
    GUILD,
    between_colons,
    from_guild,
    kind_of,
    lacks_comma,
    meant_by,
    meant_by_axis,
)
from aqueue.formats.yaml_calls import CALL
from aqueue.formats.yaml_document import read
from aqueue.formats.yaml_values import describe
from aqueue.model.combinations import EXACT, amount
from aqueue.model.sweep import TEXT_HINT, Axis, Span, SweepError
from aqueue.model.task import MAX_COMBINATIONS
from aqueue.model.values import Value, all_stand_for, is_number, plain_text, stands_for


def is_sweep(text: str) -> bool:
    """Return True if a param on the command line has several values."""
    text = text.strip()
    is_list = text.startswith("[") and text.endswith("]")
    return is_list or bool(CALL.match(text) or GUILD.fullmatch(text))


def parse_axis(written: Any) -> Axis:
    """Return the values of a param.

    Args:
        written: a list of plain values; a text such as `range(1, 5)`, `choice(a, b)`, `uniform(0, 1)`,
            `loguniform(1e-5, 0.1)` or, from the command line, `[0.1, 0.01]`; or another plain value, which is the
            only one.

    Raises:
        SweepError: the syntax is wrong; the message says how to fix it.
    """
    if isinstance(written, list):
        return _values(written)
    if isinstance(written, dict):
        raise SweepError("expected a list, or a call such as range(1, 5), got keys and values")
    if not isinstance(written, str) or not is_sweep(written):
        _refuse_lookalike(written)
        return (written,)
    text = written.strip()
    try:
        return _parse(text)
    except ValueError as error:
        raise SweepError(f"{describe(text)}: {error}") from None


def _parse(text: str) -> Axis:
    if guild := GUILD.fullmatch(text):
        raise SweepError(from_guild(guild[1], guild[2]))
    if not (call := CALL.match(text)):
        return _values(_elements(text))
    if not text.endswith(")"):
        raise SweepError("the bracket is not closed at the end; write it as in range(1, 5)")
    elements = _elements(f"[{text[call.end() : -1]}]")
    if call[1] == "choice":
        return _values(elements)
    if others := [element for element in elements if not is_number(stands_for(element))]:
        meant = meant_by(text) if text.startswith("range(") else ""
        raise SweepError(
            f"expected numbers, got {describe(others[0])}{f'; write {meant}' if meant != text else ''}"
        )
    numbers = all_stand_for(elements)
    return _range(numbers) if call[1] == "range" else _span(call[1], numbers)


def _elements(text: str) -> list[Any]:
    """Return the elements of a YAML list."""
    try:
        documents = [*read(text, "")]
    except FileError as error:
        _, _, problem = error.message.partition(": ")
        raise SweepError(f"{problem}; quote text that has brackets, a comma or a colon in it") from None
    except UnicodeEncodeError:
        raise SweepError("it is not UTF-8") from None
    if len(documents) != 1 or not isinstance(documents[0].written, list):
        raise SweepError("expected one list")
    found: list[Any] = documents[0].written
    refuse_lacking_comma(found, lambda index: documents[0].is_quoted((index,)))
    return found


def refuse_lacking_comma(elements: Sequence[Any], is_quoted: Callable[[int], bool]) -> None:
    """Check that no numbers in a list are separated only by a blank.

    Args:
        is_quoted: returns True for the index of an element in quotes.

    Raises:
        SweepError: at the first of them.
    """
    for index, element in enumerate(elements):
        if isinstance(element, str) and lacks_comma(element) and not is_quoted(index):
            hint = f"write commas: [{', '.join(element.split())}]; if it is text, put it in quotes"
            raise SweepError(f"{describe(element)} is text, not several numbers; {hint}")


def _values(elements: Sequence[Any]) -> tuple[Value, ...]:
    if not elements:
        raise SweepError("it has no values; write at least one")
    if len(elements) > MAX_COMBINATIONS:
        raise SweepError(f"it has {len(elements):,} values; the maximum is {MAX_COMBINATIONS:,}")
    had = set()
    for element in elements:
        if isinstance(element, list | dict):
            raise SweepError(f"expected plain values, got {describe(element)}; quote it if it is text")
        if isinstance(element, str) and CALL.match(element):
            raise SweepError(f"{describe(element)} stands within a list; write it alone, or write its values out")
        # Compare as written: 3.1 and 3.10 may be versions.
        if (identity := (isinstance(element, str), plain_text(element))) in had:
            raise SweepError(f"{describe(element)} is given twice; keep one of them")
        had.add(identity)
    if len(elements) == 1 and len(between_colons(text := plain_text(elements[0]))) == 2:
        raise SweepError(f"{from_guild('uniform', text)}; {TEXT_HINT}")
    if len(elements) == 1:
        _refuse_lookalike(elements[0], in_list=True)
    return tuple(elements)


def _refuse_lookalike(value: Any, *, in_list: bool = False) -> None:
    """Check that a single text does not look like several values; in a list, like a range.

    Raises:
        SweepError: it does; the message says how to write them.
    """
    meant = meant_by_axis(value) if isinstance(value, str) else ""
    if meant and not (in_list and meant.startswith("[") and "(" not in value):
        end = ", which excludes its end" if meant.startswith("range(") and "…" not in meant else ""
        raise SweepError(f"{describe(value)} is text, not {kind_of(meant)}; write {meant}{end}; {TEXT_HINT}")


def _range(numbers: Sequence[float]) -> tuple[Value, ...]:
    if not 1 <= len(numbers) <= 3:
        raise SweepError("expected range(end), range(start, end) or range(start, end, step)")
    start, end, step = (0, *numbers, 1) if len(numbers) == 1 else (*numbers, 1)[:3]
    if step == 0:
        raise SweepError("it has no end; take a step other than 0")
    # In decimal, because 3 * 0.1 is not 0.3 in binary.
    with localcontext(EXACT):
        first, beyond, each = (Decimal(str(number)) for number in (start, end, step))
        count = math.ceil((beyond - first) / each)
        if count <= 0:
            raise SweepError("it is empty; the end is not included, and counting down needs a negative step")
        if count > MAX_COMBINATIONS:
            raise SweepError(f"it has {amount(count)} values; the maximum is {MAX_COMBINATIONS:,}")
        kind = int if all(isinstance(number, int) for number in numbers) else float
        values = tuple(kind(first + index * each) for index in range(count))
    if len({*values, end}) <= count:
        raise SweepError("its step is too small to tell numbers of this size apart")
    return values


def _span(name: str, numbers: Sequence[float]) -> Span:
    if len(numbers) != 2:
        raise SweepError(f"expected {name}(low, high)")
    low, high = map(float, numbers)
    if low >= high:
        raise SweepError("expected a lower number first, then a higher one")
    if name == "loguniform" and low <= 0:
        raise SweepError("expected numbers above 0; only uniform takes others")
    return Span(low, high, name == "loguniform")
