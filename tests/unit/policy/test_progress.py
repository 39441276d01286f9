import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aqueue.model.progress import Report, Source
from aqueue.policy.progress import find, seconds_left
from aqueue.policy.progress_pattern import compiled

BAR = "train:  30%|###       | 3/10 [00:30<01:10, 10.0s/it]"
OUTER = "epochs:  50%|#####     | 2/4 [1:00:00<2:00:00, 1800s/it]"
UP = "\x1b[A"


def told(output: str, pattern: str | None = None, *, is_whole: bool = True) -> tuple[float, str] | None:
    found = find(output.encode(), re.compile(pattern) if pattern else None, is_whole=is_whole)
    return None if found is None else (round(found.fraction, 4), found.text)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", None),
        ("epoch 1/10\n30%\n0.3\n", None),
        ("AQUEUE_PROGRESS 3/10\n", (0.3, "")),
        ("AQUEUE_PROGRESS 3/10 epoch 3\n", (0.3, "epoch 3")),
        ("AQUEUE_PROGRESS 30%\n", (0.3, "")),
        ("AQUEUE_PROGRESS 2.5/10\n", (0.25, "")),
        ("AQUEUE_PROGRESS 0.3 halfway\r\n", (0.3, "halfway")),
        ("AQUEUE_PROGRESS 1\n", (1.0, "")),
        ("AQUEUE_PROGRESS 11/10\n", (1.0, "")),
        (" \x1b[32mAQUEUE_PROGRESS 1/10\x1b[0m\r  AQUEUE_PROGRESS 2/10\r", (0.2, "")),
        ("AQUEUE_PROGRESS 1/10\nAQUEUE_PROGRESS 2/10\nepoch 9\n", (0.2, "")),
        # What is not there yet, or means nothing.
        ("AQUEUE_PROGRESS 1/10\nAQUEUE_PROGRESS 2/1", (0.1, "")),
        ("AQUEUE_PROGRESS 1/10\nAQUEUE_PROGRESS 30\nAQUEUE_PROGRESS 2/0\nAQUEUE_PROGRESS nan\n", (0.1, "")),
        ("AQUEUE_PROGRESS 300%\nAQUEUE_PROGRESS -1/3\nAQUEUE_PROGRESS\nAQUEUE_PROGRESSES 1/2\n", None),
        ("see AQUEUE_PROGRESS 1/2\n", None),
        (f"AQUEUE_PROGRESS 1/2 {'x' * 90}\n", (0.5, "x" * 79 + "…")),
        (f"AQUEUE_PROGRESS 1/10\n{BAR}\n", (0.1, "")),
        # Bars of tqdm.
        (BAR, (0.3, "train")),
        (f"\r{BAR}\r{BAR.replace('3/10', '4/10')}", (0.4, "train")),
        (f"\r{BAR}\r{BAR[:-20]}", (0.3, "train")),
        ("100%|##########| 10/10 [00:30<00:00, 3.0s/it]", (1.0, "")),
        ("  4%|4         | 39.0/1.00k [00:00<00:01, 5.07kit/s]", (0.039, "")),
        (" 30%|\x1b[32m███       \x1b[0m| 3/10 [00:03<?, ?it/s]", (0.3, "")),
        (f"\r{OUTER}\n\r{BAR}{UP}\n\r{BAR.replace('3/10', '5/10')}{UP}", (0.5, "epochs")),
        (f"{OUTER}\n\r{BAR}", (0.3, "train")),
        ("39it [00:03, 10it/s]", None),
        ("  0%|          | 0/0 [00:00<?, ?it/s]", None),
    ],
)
def test_the_last_word_of_an_output_counts(output: str, expected: tuple[float, str] | None) -> None:
    assert told(output) == expected


@pytest.mark.parametrize(
    ("pattern", "output", "expected"),
    [
        (r"epoch (\d+)/(\d+)", "epoch 1/10\nepoch 2/10 loss 0.3\nsaved\n", 0.2),
        (r"epoch (\d+)/(\d+)", f"epoch 1/10\n{BAR}", 0.1),
        (r"epoch (\d+)/(\d+)", f"AQUEUE_PROGRESS 9/10\nepoch 1/10\n{BAR}", 0.9),
        (r"epoch (\d+)/(\d+)", f"\r{BAR}", None),
        (r"epoch (\d+)/(\d+)", "epoch 1/10\nepoch 2/1", 0.1),
        (r"(\S+) of (\S+) steps", "1,500 of 3,000 steps\nnone of 5 steps\n", 0.5),
        (r"(\d+)/(\d+)", "1/10 2/10\n", 0.2),
        (r"(\d+) ?%", "30 % done\n", 0.3),
        (r"at (\S+)", "at 30\n", 0.3),
        (r"at (\S+)", "at 0.3\n", 0.3),
        (r"at ([\d.]+)", "at 0.3%\n", 0.003),
        (r"at (\S+)", "at 130\nat work\n", None),
        (r"a(\d)?", "a\n", None),
    ],
)
def test_a_pattern_goes_before_bars(pattern: str, output: str, expected: float | None) -> None:
    found = told(output, pattern)
    assert (found and found[0]) == expected


def test_a_first_line_that_may_be_cut_does_not_count() -> None:
    assert told("AQUEUE_PROGRESS 3/10\n", is_whole=False) is None
    assert told("0/10\nepoch 5/10\n1\n", r"(\d+)/(\d+)", is_whole=False) == (0.5, "")
    assert told("3/10\n", r"(\d+)/(\d+)", is_whole=False) is None


@given(st.binary(max_size=300), st.sampled_from([None, r"(\d+)", r"(.*)/(.*)"]), st.booleans())
@example(b"AQUEUE_PROGRESS " + b"9" * 400 + b"\n", None, True)
def test_no_output_is_too_strange(tail: bytes, pattern: str | None, is_whole: bool) -> None:
    compiled_pattern = re.compile(pattern) if pattern else None
    for output in (tail, b"AQUEUE_PROGRESS " + tail + b"\n", BAR.encode() + tail, tail + BAR.encode()):
        found = find(output, compiled_pattern, is_whole=is_whole)
        assert found is None or 0 <= found.fraction <= 1


@given(st.integers(0, 10**9), st.integers(1, 10**9), st.text(max_size=40))
def test_what_is_told_is_read(done: int, total: int, text: str) -> None:
    found = find(f"AQUEUE_PROGRESS {done}/{total}\n{text}\n".encode(errors="replace"))
    assert found is not None
    assert found.source is Source.LINE or "AQUEUE_PROGRESS" in text
    assert (found.done, found.total) == (done, total)


def reported(fraction: float, bar: tuple[float, float] | None = None, *, is_bar: bool = False) -> Report:
    return Report(fraction=fraction, source=Source.BAR if bar or is_bar else Source.LINE, bar=bar)


@pytest.mark.parametrize(
    ("report", "took", "silent", "left"),
    [
        (reported(0.25), 100.0, 0.0, 300.0),
        (reported(0.25), 100.0, 60.0, 240.0),
        (reported(0.25), 100.0, 300.0, None),
        (reported(0.0), 100.0, 0.0, None),
        (reported(1.0), 100.0, 0.0, None),
        (reported(1e-320), 100.0, 0.0, None),
        (reported(0.25), 0.0, 0.0, None),
        (reported(0.25, (90.0, 270.0)), 100.0, 10.0, 260.0),
        # One of many bars, or one that does not know.
        (reported(0.25, (9.0, 27.0)), 100.0, 0.0, None),
        (reported(0.25, is_bar=True), 100.0, 0.0, None),
    ],
)
def test_the_rest_takes_as_long_as_the_part_before(
    report: Report, took: float, silent: float, left: float | None
) -> None:
    assert seconds_left(report, took, silent) == left


@pytest.mark.parametrize(
    "pattern",
    [
        r"epoch (\d+)/(\d+)",
        r"[ep(]och\s*(\d+) of (?P<total>\d+)",
        r"(?i)(\d+(?:\.\d+)?) ?%",
        r"\((\d+)\)+ (?:a|b)",
        r"[]()*+]+(\d+)",
    ],
)
def test_a_pattern_may_be_any_that_ends_soon(pattern: str) -> None:
    assert compiled(pattern).groups in (1, 2)


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("epoch", "0 groups"),
        (r"(\d)(\d)(\d)", "3 groups"),
        (r"epoch (\d+", "not a regular expression: missing )"),
        (r"(?P<a>x)(?P<a>y)", "not a regular expression: redefinition"),
        ("(" * 90 + ")" * 90, "90 groups"),
        ("[[]()", "not a regular expression: Possible nested set"),
        (r"(x{1," + "9" * 30 + "})", "not a regular expression"),
        ("(x)" + "y" * 200, "longer than 200"),
        (r"(a+)+$", "for ever"),
        (r"(\w|\d)*(x)", "for ever"),
        (r"((?:x\d+)y){2,}", "for ever"),
        (r"(?:a?){20}(a)", "for ever"),
        (r"(?:(\d+)[)]x)+", "for ever"),
    ],
)
def test_a_pattern_that_cannot_be_used_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        compiled(pattern)


@given(st.text(alphabet="ab()[]\\|?*+{1,2}.^$d", max_size=30))
def test_every_text_is_a_pattern_or_is_refused(text: str) -> None:
    try:
        assert compiled(text).groups in (1, 2)
    except ValueError as error:
        assert str(error)
