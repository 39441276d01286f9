"""Metrics of an attempt, from its metrics.json and from lines of its output.

The input is not trusted to be small, complete or well-formed: anything that cannot be a metric is left out, and a
log of many gigabytes needs no more memory than a small one.
"""

import os
import re
import stat
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final, TypeVar

from aqueue.errors import EXHAUSTED
from aqueue.executors.metric_lines import BLOCK, LONGEST_TEXT, Search, is_name
from aqueue.folder import no_links
from aqueue.model.run import Metric

MOST: Final = 1000
"""The maximum number of metrics of an attempt."""

LARGE: Final = BLOCK
"""The largest output, in bytes, whose metrics are read without a thread."""

V = TypeVar("V")

_MAX_FILE = 1 << 20
_MIDDLE = "of its output, which is large, only the beginning and the end were searched for metrics"
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|nan|inf|infinity)", re.ASCII | re.IGNORECASE)


def parse_json(content: bytes) -> dict[str, Metric]:
    """Read a metrics.json.

    Nested objects give names with a dot: `train.loss`. Null, lists, long or unprintable text, and all metrics
    after the first `MOST` are left out.

    Raises:
        ValueError: it is too large, or not a JSON object; the message continues after the file's name.

    >>> parse_json(b'{"train": {"loss": 0.5}, "epochs": 3}')
    {'train.loss': 0.5, 'epochs': 3}
    """
    return _first(_in_json(content))


def parse_lines(content: bytes) -> dict[str, Metric]:
    r"""Read the lines of an output that begin with `AQUEUE_METRIC`; the last value of each name counts.

    >>> parse_lines(b"step 1\nAQUEUE_METRIC loss=0.5 best=true\n")
    {'loss': 0.5, 'best': True}
    """
    search = Search(lambda position, count: content[position : position + count], len(content))
    return _first(_values(search.found))


def read(attempt: str, output_size: int) -> tuple[dict[str, Metric], str]:
    """Read the metrics of an attempt that is over.

    A metrics.json in the run's folder overrides one in the working directory, and lines of the output override
    both.

    Args:
        attempt: the path of the attempt's files, without their suffixes; they are in the run's folder.
        output_size: the size of its output in bytes.

    Returns:
        the metrics, and a short description of any problem with them, empty if there is none.

    Raises:
        OSError: no more files can be opened for now.
    """
    found: dict[str, Metric] = {}
    wrong: list[str] = []
    try:
        found |= _of_file(attempt)
    except ValueError as error:
        wrong.append(f"metrics.json {error}")
    except OSError as error:
        if error.errno in EXHAUSTED:
            raise
        wrong.append(f"metrics.json cannot be read: {error.strerror}")
    try:
        if output_size:
            search = _of_log(attempt, output_size)
            found |= _values(search.found)
            if search.malformed:
                wrong.append(f"the line {search.malformed!r} has no name=value")
            if search.is_partial:
                wrong.append(_MIDDLE)
    except OSError as error:
        if error.errno in EXHAUSTED:
            raise
        wrong.append(f"its output cannot be searched for metrics: {error.strerror}")
    if len(found) > MOST:
        wrong.append(f"there are more than {MOST:,} metrics: the first are kept")
    return _first(found), "; ".join(wrong)


def output_size(attempt: str) -> int:
    """Return the size of an attempt's output in bytes; if it is above `LARGE`, call `read` in a thread."""
    status = _status(attempt + ".log")
    return 0 if status is None else status.st_size


def _of_file(attempt: str) -> dict[str, Metric]:
    path = f"{attempt.rpartition('/')[0]}/metrics.json"
    status = _status(path)
    if status is None or status.st_mtime_ns <= _last_before(attempt):
        path = attempt + ".metrics.json"
        if _status(path) is None:
            return {}
    with open(path, "rb") as file:  # noqa: PTH123 - a text already, for each run
        return _in_json(file.read(_MAX_FILE + 1))


def _last_before(attempt: str) -> int:
    """Return a time between the last write of earlier attempts and the start of this one, by file times.

    The attempt's own `.pid` file does not help: its exit code was written at the end.
    """
    if (plan := _status(attempt + ".plan")) is not None:
        return plan.st_mtime_ns
    stem, _, number = attempt.rpartition("-")
    for earlier in range(int(number) - 1, 0, -1):
        files = [_status(f"{stem}-{earlier}{suffix}") for suffix in (".pid", ".log")]
        if times := [status.st_mtime_ns for status in files if status is not None]:
            return max(times)
    return 0


def _of_log(attempt: str, size: int) -> Search:
    with open(attempt + ".log", "rb", opener=no_links.opener) as file:
        return Search(lambda position, count: os.pread(file.fileno(), count, position), size)


def _status(path: str) -> os.stat_result | None:
    """Return the status of a regular file; None if it does not exist or is not a regular file."""
    try:
        status = os.stat(path)  # noqa: PTH116 - a text already, for each run
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status if stat.S_ISREG(status.st_mode) else None


def _in_json(content: bytes) -> dict[str, Metric]:
    """Return the metrics in a file, at most `MOST` and one more."""
    if len(content) > _MAX_FILE:
        raise ValueError("is larger than 1 MiB")
    if not content.strip():
        raise ValueError("is empty")
    # Imported here: few runs have such a file.
    import json

    try:
        written = json.loads(content, parse_int=_whole)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if not isinstance(written, dict):
        raise ValueError('is not a JSON object: expected something like {"loss": 0.5}')
    return dict(islice(_flattened(written, ""), MOST + 1))


def _flattened(written: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Metric]]:
    for key, value in written.items():
        name = prefix + key
        # This limits nesting, too: each level makes the name longer.
        if not key or not is_name(name):
            continue
        if isinstance(value, dict):
            yield from _flattened(value, name + ".")
        elif _is_metric(value):
            yield name, value


def _values(found: Mapping[str, str]) -> dict[str, Metric]:
    values = {name: _value(text) for name, text in found.items()}
    return {name: value for name, value in values.items() if _is_metric(value)}


def _value(text: str) -> Metric:
    if text[0] in "\"'" and text[-1] == text[0] and len(text) > 1:
        return text[1:-1]
    plain = text.rstrip(",")
    if _WHOLE.fullmatch(plain):
        return _whole(plain)
    if _NUMBER.fullmatch(plain):
        return float(plain)
    return plain.lower() == "true" if plain.lower() in ("true", "false") else plain


def _whole(digits: str) -> int | float:
    """Return an integer if it fits into 64 bits, else a float: databases store no larger integers."""
    value = int(digits) if len(digits) <= 20 else None
    return value if value is not None and -(1 << 63) <= value < 1 << 63 else float(digits)


def _is_metric(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT and value.isprintable()
    return isinstance(value, int | float)


def _first(found: Mapping[str, V]) -> dict[str, V]:
    return dict(islice(found.items(), MOST))
