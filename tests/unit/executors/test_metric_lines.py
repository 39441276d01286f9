"""The part of an output that is searched for metrics: all of them are found."""

import re
from itertools import cycle, islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqueue.executors.metric_lines import BLOCK, MAX_WORK, Search

LINES = st.lists(
    st.sampled_from(
        [
            "epoch 1", "", "\r", "50%\rAQUEUE_METRIC a=1", "AQUEUE_METRIC a={n}", "AQUEUE_METRIC a={n} b={n}",
            "AQUEUE_METRIC b={n} a={n}", "AQUEUE_METRIC c='{n} x' a={n}", "  AQUEUE_METRIC a={n} d={n}",
            "\x1b[1mAQUEUE_METRIC e={n}\x1b[0m", "AQUEUE_METRIC f = 1", "set AQUEUE_METRIC a={n}",
            "AQUEUE_METRIC a={n} ", "AQUEUE_METRIC ä.ö={n} a={n}", "AQUEUE_METRIC a={n} a=-{n}",
        ]
    ),
    min_size=1,
    max_size=12,
)  # fmt: skip


class Output:
    """An output of any size that takes no room, and counts how much of it is read."""

    def __init__(self, period: bytes, size: int) -> None:
        self.read = 0
        self.size = size
        self._period = period
        self._much = period * (BLOCK // len(period) + 2)

    def search(self) -> Search:
        return Search(self._read_at, self.size)

    def _read_at(self, position: int, count: int) -> bytes:
        count = min(count, self.size - position)
        self.read += count
        at = position % len(self._period)
        return self._much[at : at + count]


def search(content: bytes) -> Search:
    return Search(lambda position, count: content[position : position + count], len(content))


def plainly(content: bytes) -> dict[str, str]:
    """Read an output line by line from its beginning, all of it."""
    found: dict[str, str] = {}
    for line in re.split(r"[\r\n]", content.decode()):
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).lstrip(" \t")
        if text.startswith("AQUEUE_METRIC "):
            found.update(re.findall(r"""(?<!\S)([^\s=]+)=("[^"]*"|'[^']*'|\S+)""", text[14:]))
    return found


@settings(max_examples=30, deadline=None)
@given(LINES, LINES, st.integers(0, 3000))
def test_what_is_found_is_what_reading_it_line_by_line_finds(begin: list[str], rest: list[str], more: int) -> None:
    count = len(begin) + len(rest) + more
    lines = [line.format(n=n) for n, line in enumerate(islice(cycle(rest), count))]
    content = "\n".join([line.format(n=7) for line in begin] + lines).encode()
    found = search(content)
    assert found.found == plainly(content)
    assert not found.is_partial


@pytest.mark.parametrize(
    "period",
    [
        b"INFO all is well\n",
        b"x" * 5000,
        b"AQUEUE_METRIC loss=0.123456 step=1234567\n",
        b"AQUEUE_METRIC loss=0.123456 step=1234567\nINFO all is well\n" * 3 + b"AQUEUE_METRIC acc=0.5\n",
        b"  AQUEUE_METRIC loss=0.123456\n",
        b"AQUEUE_METRIC loss = 0.123456\n",
        b"the line AQUEUE_METRIC loss=0.123456\n",
        b"AQUEUE_METRIC " + b"a=1 " * 10_000 + b"\n",
    ],
)
def test_however_large_an_output_is_only_so_much_of_it_is_read(period: bytes) -> None:
    output = Output(period, 300 << 30)
    found = output.search()
    assert output.read <= MAX_WORK + 4 * BLOCK
    assert found.is_partial == bool(found.found or found.malformed)


def test_lines_that_tell_nothing_new_are_not_read_one_by_one() -> None:
    lines = b"AQUEUE_METRIC loss=0.25 step=17\n"
    output = Output(lines * 999 + b"AQUEUE_METRIC best=1\n", 6 << 20)
    found = output.search()
    assert (found.found, found.is_partial) == ({"loss": "0.25", "step": "17", "best": "1"}, False)


def test_names_are_found_in_the_order_in_which_they_come() -> None:
    padding = b"INFO all is well\n" * (BLOCK // 10)
    found = search(
        b"AQUEUE_METRIC z=1\n" + padding + b"AQUEUE_METRIC y=1\n" + padding + b"AQUEUE_METRIC z=2 a=1\n"
    )
    assert list(found.found.items()) == [("z", "2"), ("y", "1"), ("a", "1")]


def test_the_first_line_without_a_metric_is_told() -> None:
    lines = b"AQUEUE_METRIC first = 1\n" + b"AQUEUE_METRIC loss=1\n" * BLOCK + b"AQUEUE_METRIC last = 1\n"
    assert search(lines).malformed == "AQUEUE_METRIC first = 1"


def test_too_many_different_names_end_the_search() -> None:
    lines = b"".join(b"AQUEUE_METRIC m%d=1\n" % number for number in range(50_000))
    found = search(lines)
    assert found.is_partial
    assert list(found.found)[:2] == ["m0", "m1"]
    assert "m49999" in found.found
    assert len(found.found) < 30_000
