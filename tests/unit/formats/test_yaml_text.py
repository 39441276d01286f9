import subprocess
import sys

import pytest

from aqueue.errors import FileError
from aqueue.formats.yaml_document import Document, read
from aqueue.formats.yaml_text import MAX_BYTES, decode


def one(text: str) -> Document:
    (document,) = read(text, "x.yaml")
    return document


def error_in(text: str) -> FileError:
    with pytest.raises(FileError) as caught:
        list(read(text, "x.yaml"))
    return caught.value


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_what_is_nested_too_deeply_is_refused(opening: str) -> None:
    closing = {"[": "]", "{a: ": "}"}.get(opening, "")
    assert "nested too deeply" in error_in(f"{opening * 100}x{closing * 100}").message
    assert one(f"{opening * 20}x{closing * 20}").value


NESTS = """\
import sys, threading
from aqueue.formats.yaml_document import read
from aqueue.errors import FileError

def look():
    for length in (4_000, 1_000_000):
        try:
            list(read(sys.argv[1] * (length // len(sys.argv[1])), "x.yaml"))
        except FileError as error:
            print(error)

threading.stack_size(512 * 1024)
thread = threading.Thread(target=look)
thread.start()
thread.join()
"""


@pytest.mark.parametrize("opening", ["- ", "[", "{a: ", "? "])
def test_nesting_without_end_neither_crashes_nor_takes_long(opening: str) -> None:
    # In a process of its own, for a crash would end this one; in a thread with the little stack that some
    # systems give to threads, for there files are read.
    done = subprocess.run(
        [sys.executable, "-c", NESTS, opening], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, f"ended by {done.returncode}: {done.stderr}"
    assert done.stdout.count("nested too deeply") == 2


@pytest.mark.parametrize("content", [b"command: x", b"\xef\xbb\xbfcommand: x"])
def test_a_byte_order_mark_is_no_part_of_the_text(content: bytes) -> None:
    assert decode(content, "x.yaml") == "command: x"


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b"\xff", "1:1"),
        (b"command: \xe9", "1:10"),
        (b"command: x\nname: \xff", "2:7"),
        ("é: 1\né: ".encode() + b"\xff", "2:4"),
        (b"\xef\xbb\xbfa: 1\n\xff", "2:1"),
        (b"\xef\xbb\xbfa: 1\nb: \xff", "2:4"),
        ("command: x".encode("utf-16"), "1:1"),
    ],
)
def test_what_is_not_utf_8_is_refused_at_the_first_character_that_is_not(content: bytes, where: str) -> None:
    with pytest.raises(FileError) as caught:
        decode(content, "x.yaml")
    assert (caught.value.message, caught.value.hint) == (f"x.yaml:{where}: is not UTF-8", "save it as UTF-8")


def test_a_file_of_one_mebibyte_is_read_and_a_larger_one_refused() -> None:
    assert MAX_BYTES == 1024 * 1024
    assert len(decode(b"x" * MAX_BYTES, "x.yaml")) == MAX_BYTES
    with pytest.raises(FileError) as caught:
        decode(b"x" * (MAX_BYTES + 1), "x.yaml")
    assert caught.value.message == "x.yaml: is larger than 1 MiB"
    assert caught.value.hint
