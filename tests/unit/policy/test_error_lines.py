from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.policy.error_lines import LONGEST, find, lines_of

TRACEBACK = """\
Traceback (most recent call last):
  File "train.py", line 3, in <module>
    fit()
ValueError: shapes (3,4) and (5,) do not match
"""


def text(output: str) -> str | None:
    found = find(lines_of(output))
    return None if found is None else found.text


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", None),
        ("\n \n\r\n\x1b[0m\n", None),
        ("epoch 1\nepoch 2\n", "epoch 2"),
        ("epoch 1\n\n\n", "epoch 1"),
        ("no line end", "no line end"),
        ("error: no data\ntry --help\n", "error: no data"),
        ("train.py: error: unrecognized arguments: --lrr\n", "train.py: error: unrecognized arguments: --lrr"),
        ("a.c:3:5: error: expected ';'\nmake: *** [all] Error 1\n", "a.c:3:5: error: expected ';'"),
        ("x.js:1\n\nTypeError: x is no function\n    at x.js\n\nNode.js v20\n", "TypeError: x is no function"),
        ("KeyError: 'lr'\nbye\n", "KeyError: 'lr'"),
        ("panic: index out of range\n\ngoroutine 1 [running]:\nexit status 2\n", "panic: index out of range"),
        ("val error: 0.31\nstopped early\n", "stopped early"),
        ("error: 0.31\nstopped early\n", "stopped early"),
        ("error: an old one\n" + "going on\n" * 40, "going on"),
        ("no data\naqueue: metrics.json was not read\nAQUEUE_METRIC loss=1\n", "no data"),
        ('  File "a.py", line 1\n    f(\nSyntaxError: invalid syntax\n', "SyntaxError: invalid syntax"),
    ],
)  # fmt: skip
def test_without_a_traceback_it_is_a_line_that_names_an_error_or_the_last_one(output: str, expected: str) -> None:
    assert text(output) == expected


def test_the_last_line_of_the_last_traceback_wins_over_what_is_printed_after_it() -> None:
    before = TRACEBACK.replace("ValueError", "KeyError")
    between = "\nDuring handling of the above exception, another exception occurred:\n\n"
    found = find(lines_of(f"epoch 1\n{before}{between}{TRACEBACK}wandb: 40 lines\nerror: see above\n"))
    assert found is not None
    assert (found.text, found.is_error) == ("ValueError: shapes (3,4) and (5,) do not match", True)
    assert lines_of(f"epoch 1\n{before}{between}{TRACEBACK}")[found.first] == "Traceback (most recent call last):"
    assert found.last == found.first + 3


def test_a_traceback_far_above_the_end_was_handled_and_does_not_count() -> None:
    assert text(TRACEBACK + "going on\n" * 80) == "ValueError: shapes (3,4) and (5,) do not match"
    assert text(TRACEBACK + "going on\n" * 200) == "going on"


def test_a_traceback_whose_lines_have_a_prefix_is_read_without_it() -> None:
    ranked = "".join(f"[rank1]: {line}\n" for line in TRACEBACK.splitlines())
    assert text(f"{ranked}bye\n") == "ValueError: shapes (3,4) and (5,) do not match"


def test_a_traceback_of_a_group_names_the_last_error_of_the_group() -> None:
    output = """\
      + Exception Group Traceback (most recent call last):
      |   File "x.py", line 1, in <module>
      | ExceptionGroup: many (1 sub-exception)
      +-+---------------- 1 ----------------
        | Traceback (most recent call last):
        |   File "x.py", line 2, in f
        | ValueError: bad
        +------------------------------------
    """
    assert text(dedent(output)) == "ValueError: bad"
    assert text("\n".join(dedent(output).splitlines()[:4])) == "ExceptionGroup: many (1 sub-exception)"


@pytest.mark.parametrize(
    "later",
    [
        "subprocess.CalledProcessError: Command 'x' returned non-zero exit status 1.",
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: ",
    ],
)
def test_an_error_about_another_process_gives_way_to_the_error_of_that_process(later: str) -> None:
    frames = 'Traceback (most recent call last):\n  File "run.py", line 1, in <module>\n'
    assert text(f"{TRACEBACK}{frames}{later}\n=====\n") == "ValueError: shapes (3,4) and (5,) do not match"
    assert text(f"{frames}{later}\n") == later.strip()


def test_a_traceback_that_is_cut_off_counts_as_lines() -> None:
    cut = TRACEBACK.splitlines()[:3]
    assert text("\n".join(cut)) == "fit()"
    assert text(TRACEBACK.partition("\n")[2]) == "ValueError: shapes (3,4) and (5,) do not match"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("\x1b[31mValueError: \x1b[1mbad\x1b[0m", "ValueError: bad"),
        ("\x1b]8;;file://x\x07link\x1b]8;;\x1b\\ text", "link text"),
        ("10%|#  |\r90%|###|", "90%|###|"),
        ("90%|###|\r", "90%|###|"),
        ("a\tb\x00\x08\u202ec", "a   bc"),
    ],
)
def test_control_codes_are_removed_and_a_rewritten_line_is_read_as_last_written(line: str, shown: str) -> None:
    assert lines_of(line) == [shown]


def test_a_long_line_is_cut() -> None:
    assert text("x" * 5000) == "x" * (LONGEST - 1) + "…"


@given(st.text(st.sampled_from("aE: \r\n\t\x1b[|+") | st.characters()))
def test_whatever_an_output_contains_the_line_is_short_printable_and_one_of_its_lines(output: str) -> None:
    lines = lines_of(output)
    found = find(lines)
    assert (found is None) == (not any(line.strip() for line in lines))
    if found is not None:
        assert found.text.isprintable()
        assert 0 < len(found.text) <= LONGEST
        assert found.first <= found.last < len(lines)
