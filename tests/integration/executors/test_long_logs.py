"""Logs with a limit, as real files: what is kept, what it takes on the disk, and what readers get."""

import itertools
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from aqueue.executors import long_logs
from tests.integration.holes import skip_without_holes, taken

LIMIT = 128 << 10
LINE = re.compile(
    rb"\[aqueue: [\d.]+ (?:Ki|Mi)B left out here(?: so far)?, bytes (\d+) to (\d+): log.limit is 128 KiB\]"
)


class Writer:
    """Writes numbered lines as a command does: to the end, through a file that it never opens again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.all = b""
        self._numbers = itertools.count(1)
        self._file = path.open("ab", buffering=0)

    def writes(self, size: int) -> None:
        end = len(self.all) + size
        while len(self.all) < end:
            lines = b"".join(b"line %d\n" % next(self._numbers) for _ in range(500))
            self._file.write(lines)
            self.all += lines

    def says(self, text: bytes) -> None:
        self._file.write(text)
        self.all += text

    def close(self) -> None:
        self._file.close()


@pytest.fixture(params=["here", "in memory"])
def writer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Writer]:
    """A log on the file system of the tests, and one on tmpfs; both must be able to have holes."""
    shared = Path("/dev/shm")
    if request.param == "in memory" and not os.access(shared, os.W_OK):
        pytest.skip("there is no /dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if request.param == "in memory" else tmp_path) as directory:
        skip_without_holes(Path(directory))
        writer = Writer(Path(directory, "attempt-1.log"))
        yield writer
        writer.close()


def read(log: Path, limit: int | None = LIMIT) -> bytes:
    return b"".join(piece for piece, _ in long_logs.read(log, 0, limit))


def check_kept(kept: bytes, written: bytes) -> None:
    """Head and tail are there to the byte, and the line says the truth about what is between them."""
    found = LINE.search(kept)
    assert found
    start, end = int(found[1]), int(found[2])
    assert kept[: found.start()] == written[: start + 1]
    assert kept[found.end() + 1 :] == written[end:]
    assert len(kept) <= LIMIT
    assert min(start, len(written) - end) > LIMIT // 2 - 9000


def test_a_log_within_its_limit_is_left_as_it_is(writer: Writer) -> None:
    writer.writes(LIMIT - 10_000)
    long_logs.trim(str(writer.path), LIMIT)
    long_logs.settle(str(writer.path), LIMIT)
    assert writer.path.read_bytes() == read(writer.path) == writer.all


def test_a_log_that_goes_on_takes_no_more_than_its_limit_and_keeps_head_and_tail(writer: Writer) -> None:
    for _ in range(5):
        writer.writes(3 * LIMIT)
        long_logs.trim(str(writer.path), LIMIT)
        assert taken(writer.path) <= LIMIT + 4096
        kept = read(writer.path)
        assert b"left out here so far" in kept
        check_kept(kept, writer.all)


def test_what_is_written_after_a_trim_is_all_there(writer: Writer) -> None:
    writer.writes(3 * LIMIT)
    long_logs.trim(str(writer.path), LIMIT)
    before = read(writer.path)
    more = len(writer.all)
    writer.writes(10_000)
    assert read(writer.path) == before + writer.all[more:]


def test_a_log_that_is_over_has_no_hole_any_more(writer: Writer) -> None:
    writer.writes(3 * LIMIT)
    long_logs.trim(str(writer.path), LIMIT)
    writer.writes(LIMIT)
    long_logs.settle(str(writer.path), LIMIT)
    kept = writer.path.read_bytes()
    assert b"\0" not in kept
    assert b"so far" not in kept
    check_kept(kept, writer.all)
    assert read(writer.path) == kept
    assert sorted(os.listdir(writer.path.parent)) == ["attempt-1.log"]


def test_a_log_that_was_never_looked_at_is_cut_at_its_end_too(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "attempt-1.log")
    writer.writes(5 * LIMIT)
    writer.close()
    long_logs.settle(str(writer.path), LIMIT)
    check_kept(writer.path.read_bytes(), writer.all)


def test_a_log_that_is_settled_stays_as_it_is(writer: Writer) -> None:
    writer.writes(3 * LIMIT)
    long_logs.settle(str(writer.path), LIMIT)
    with writer.path.open("ab") as file:
        file.write(b"aqueue: a note\n" * 1000)
    kept = writer.path.read_bytes()
    long_logs.settle(str(writer.path), LIMIT)
    long_logs.trim(str(writer.path), LIMIT)
    assert writer.path.read_bytes() == read(writer.path) == kept


def test_a_tail_that_begins_with_nul_bytes_is_shown_as_it_was_written(writer: Writer) -> None:
    writer.says(b"\0" * 3 * LIMIT)
    long_logs.trim(str(writer.path), LIMIT)
    long_logs.settle(str(writer.path), LIMIT)
    kept = read(writer.path)
    assert kept == writer.path.read_bytes()
    assert set(LINE.sub(b"", kept)) == set(b"\0\n")
    assert len(kept) > LIMIT - 9000


def test_the_line_of_another_log_in_the_output_is_nothing_but_output(writer: Writer) -> None:
    other = b"\n[aqueue: 3 MiB left out here so far, bytes 1234 to 3145728: log.limit is 128 KiB]\n"
    writer.writes(LIMIT // 2 - 3000)
    writer.says(other)
    writer.writes(3 * LIMIT)
    assert read(writer.path) == writer.all
    long_logs.trim(str(writer.path), LIMIT)
    kept = read(writer.path)
    assert kept.count(other) == 1
    assert len(LINE.findall(kept)) == 2
    long_logs.settle(str(writer.path), LIMIT)
    assert read(writer.path).count(other) == 1
    assert read(writer.path) == writer.path.read_bytes()


def test_a_reader_that_keeps_up_gets_everything(writer: Writer) -> None:
    position, got = 0, b""

    def go_on() -> None:
        nonlocal position, got
        for piece, after in long_logs.read(writer.path, position, LIMIT):
            got += piece
            position = after

    for _ in range(6):
        writer.writes(LIMIT // 2)
        go_on()
        long_logs.trim(str(writer.path), LIMIT)
    long_logs.settle(str(writer.path), LIMIT)
    with writer.path.open("ab") as file:
        file.write(b"aqueue: a note\n")
    go_on()
    assert got == writer.all + b"aqueue: a note\n"


@pytest.mark.parametrize("is_over", [False, True])
def test_a_reader_that_falls_behind_is_told_how_much_it_has_missed(writer: Writer, is_over: bool) -> None:
    writer.writes(LIMIT)
    position = len(writer.all)
    writer.writes(10 * LIMIT)
    long_logs.trim(str(writer.path), LIMIT)
    if is_over:
        long_logs.settle(str(writer.path), LIMIT)
    got = b"".join(piece for piece, _ in long_logs.read(writer.path, position, LIMIT))
    found = LINE.match(got, 1)
    assert found
    assert int(found[1]) == position
    assert got[found.end() + 1 :] == writer.all[int(found[2]) :]


def test_whoever_does_not_know_of_a_limit_reads_the_file(writer: Writer) -> None:
    writer.writes(3 * LIMIT)
    assert read(writer.path, None) == writer.all


@pytest.mark.parametrize(
    "text", [b"", b"a", b"a\n", b"a\nb", b"\n\na\n\n", b"a\n" * 70_000, b"x" * 70_000 + b"\ny\n"]
)
@pytest.mark.parametrize("count", [1, 2, 3, 69_999, 70_000, 70_001])
def test_the_last_lines_of_a_log_are_found_from_its_end(tmp_path: Path, text: bytes, count: int) -> None:
    log = tmp_path / "attempt-1.log"
    log.write_bytes(text)
    start = long_logs.start_of_tail(log, count, None)
    lines = text.split(b"\n")[:-1] if text.endswith(b"\n") else text.split(b"\n")
    assert text[start:].removesuffix(b"\n") == b"\n".join(lines[-count:])


@pytest.mark.parametrize("is_over", [False, True])
def test_the_last_lines_of_a_shortened_log_are_counted_up_to_what_is_left_out(
    writer: Writer, is_over: bool
) -> None:
    writer.writes(10 * LIMIT)
    long_logs.trim(str(writer.path), LIMIT)
    if is_over:
        long_logs.settle(str(writer.path), LIMIT)

    def tail(count: int) -> bytes:
        start = long_logs.start_of_tail(writer.path, count, LIMIT)
        return b"".join(piece for piece, _ in long_logs.read(writer.path, start, LIMIT))

    assert tail(7) == b"\n".join(writer.all.split(b"\n")[-8:])
    assert tail(10**6).startswith(b"\n[aqueue: ")
    assert read(writer.path).endswith(tail(10**6))
