"""The metrics of an attempt, read from the files that it leaves."""

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from aqueue.executors.metrics import LARGE, MOST, output_size, read
from tests.integration.conftest import as_user

MIB = 1 << 20


class Left:
    """The folder of a run, and what its attempts left in there."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._now = 1_800_000_000

    def path_of(self, attempt: int) -> str:
        return str(self.path / f"attempt-{attempt}")

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file, a second after the one before."""
        path = self.path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        self._now += 1
        os.utime(path, (self._now, self._now))
        return path

    def attempt(self, number: int, output: str | bytes = "", *, leaves: str | None = None) -> None:
        """All that an attempt leaves, in the order in which it is written."""
        if leaves is not None:
            self.write("metrics.json", leaves)
        self.write(f"attempt-{number}.log", output)
        self.write(f"attempt-{number}.pid", "17\n0\n")

    def read(self, attempt: int = 1) -> tuple[dict[str, object], str]:
        path = self.path_of(attempt)
        found, wrong = read(path, output_size(path))
        return dict(found), wrong


@pytest.fixture
def left(tmp_path: Path) -> Left:
    return Left(tmp_path)


def test_a_run_that_measured_nothing_costs_next_to_nothing(left: Left, monkeypatch: pytest.MonkeyPatch) -> None:
    left.attempt(1)
    looked: list[str] = []

    def counted(call: Callable[..., object]) -> Callable[..., object]:
        def count(*arguments: object, **options: object) -> object:
            looked.append(str(arguments[0]))
            return call(*arguments, **options)

        return count

    monkeypatch.setattr("os.stat", counted(os.stat))
    monkeypatch.setattr("builtins.open", counted(open))
    assert left.read() == ({}, "")
    monkeypatch.undo()
    assert len(looked) <= 3, looked


def test_nothing_at_all_is_fine(left: Left) -> None:
    assert left.read() == ({}, "")
    assert read(str(left.path / "gone" / "attempt-1"), 0) == ({}, "")


def test_lines_of_the_output_go_before_the_file_in_the_runs_folder_and_that_before_the_copy(left: Left) -> None:
    left.write("attempt-1.metrics.json", '{"a": 1, "b": 1, "c": 1}')
    assert left.read() == ({"a": 1, "b": 1, "c": 1}, "")
    left.attempt(1, "AQUEUE_METRIC b=3\n", leaves='{"a": 2, "b": 2}')
    assert left.read() == ({"a": 2, "b": 3}, "")


def test_what_an_earlier_attempt_measured_is_not_taken_for_its_own(left: Left) -> None:
    left.attempt(1, "AQUEUE_METRIC b=1\n", leaves='{"a": 1}')
    assert left.read(1) == ({"a": 1, "b": 1}, "")
    left.attempt(2)
    assert left.read(2) == ({}, "")
    left.write("attempt-2.metrics.json", '{"c": 1}')
    assert left.read(2) == ({"c": 1}, "")
    left.attempt(3, leaves='{"a": 3}')
    assert left.read(3) == ({"a": 3}, "")


def test_an_attempt_that_left_nothing_is_no_hindrance(left: Left) -> None:
    left.attempt(1, leaves='{"a": 1}')
    assert left.read(3) == ({}, "")
    left.attempt(3, leaves='{"a": 3}')
    assert left.read(3) == ({"a": 3}, "")


def test_what_was_in_the_way_before_and_was_copied_as_an_output_is_not_its_own(left: Left) -> None:
    left.write("metrics.json", '{"a": "of another run"}')
    left.write("attempt-1.plan", "{}")
    left.attempt(1)
    assert left.read() == ({}, "")
    left.write("metrics.json", '{"a": 1}')
    assert left.read() == ({"a": 1}, "")


def test_what_is_wrong_is_said_and_the_rest_is_read(left: Left) -> None:
    left.attempt(1, "AQUEUE_METRIC loss = 0.5\nAQUEUE_METRIC b=1\nAQUEUE_METRIC \x1b[0m\n", leaves='{"a": 1')
    found, wrong = left.read()
    assert found == {"b": 1}
    assert wrong == (
        "metrics.json is not JSON: Expecting ',' delimiter in line 1, column 8; "
        "the line 'AQUEUE_METRIC loss = 0.5' has no name=value"
    )


def test_a_file_that_is_too_large_is_not_read_whole(left: Left) -> None:
    left.attempt(1, leaves='{"a": 1}' + " " * (5 * MIB))
    tracemalloc.start()
    assert left.read() == ({}, "metrics.json is larger than 1 MiB")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2.5 * MIB


def test_too_many_metrics_are_said_to_be(left: Left) -> None:
    left.attempt(1, "".join(f"AQUEUE_METRIC m{number}={number}\n" for number in range(MOST)))
    assert left.read() == ({f"m{number}": number for number in range(MOST)}, "")
    left.write("metrics.json", '{"one more": 1}')
    found, wrong = left.read()
    assert len(found) == MOST
    assert wrong == "there are more than 1,000 metrics: the first are kept"


@as_user
def test_what_cannot_be_read_is_said(left: Left) -> None:
    left.attempt(1, "AQUEUE_METRIC a=1\n", leaves='{"a": 1}')
    for name in ("metrics.json", "attempt-1.log"):
        (left.path / name).chmod(0)
    assert left.read() == (
        {},
        "metrics.json cannot be read: Permission denied;"
        " its output cannot be searched for metrics: Permission denied",
    )


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("nowhere", path)])
def test_what_is_no_file_is_not_waited_for(left: Left, make: Callable[[Path], None]) -> None:
    for name in ("metrics.json", "attempt-1.metrics.json", "attempt-1.log"):
        make(left.path / name)
    assert left.read() == ({}, "")
    assert output_size(left.path_of(1)) == 0


def test_a_line_is_found_wherever_a_large_output_is_cut(left: Left) -> None:
    line = b"\nAQUEUE_METRIC a=%d b=2\r\n"
    log = left.path / "attempt-1.log"
    for cut in range(len(line) + 1):
        before = b"x" * 70 + b"\n"
        padding = before * (LARGE // len(before) + 1)
        log.write_bytes(padding[: LARGE - cut] + line % cut + b"more")
        assert left.read() == ({"a": cut, "b": 2}, ""), cut


def test_a_line_without_an_end_is_no_metric_wherever_it_is_cut(left: Left) -> None:
    log = left.path / "attempt-1.log"
    for size in (1 << 16, LARGE - 14, LARGE, LARGE + 1, 2 * LARGE, 3 * LARGE + 5):
        log.write_bytes(b"x" * size + b"AQUEUE_METRIC a=1 \nAQUEUE_METRIC b=1")
        assert left.read() == ({"b": 1}, ""), size
        log.write_bytes(b"AQUEUE_METRIC a=1 " + b"x" * size)
        assert left.read() == ({}, ""), size


def test_a_large_output_is_searched_in_little_memory(left: Left) -> None:
    log = left.path / "attempt-1.log"
    with log.open("wb") as file:
        for number in range(24):
            file.write(b"x" * MIB + b"\n" + b"AQUEUE_METRIC a=%d\n" % number)
    tracemalloc.start()
    assert left.read() == ({"a": 23}, "")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * MIB
    assert output_size(left.path_of(1)) > LARGE


def test_of_an_output_too_large_to_be_searched_the_beginning_and_the_end_are_and_that_is_said(left: Left) -> None:
    log = left.path / "attempt-1.log"
    with log.open("wb") as file:
        file.write(b"AQUEUE_METRIC first=1 a=1\n")
        file.truncate(10 << 30)
        file.seek(0, os.SEEK_END)
        file.write(b"\nAQUEUE_METRIC a=2 last=3\n")
    found = left.read()
    assert found[0] == {"first": 1, "a": 2, "last": 3}
    assert found[1] == ("of its output, which is large, only the beginning and the end were searched for metrics")
    with log.open("r+b") as file:
        file.write(b"AQUEUE_METRICS")
        file.truncate(10 << 30)
    assert left.read() == ({}, "")
