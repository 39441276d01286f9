"""The errors of programs that could not be started."""

from pathlib import Path

from aqueue.executors.command import A_LIST
from aqueue.executors.local.program_errors import explain


def test_a_list_whose_program_is_a_whole_line_is_told_what_a_list_is(tmp_path: Path) -> None:
    said = explain("echo a", ("echo a", "echo b"), str(tmp_path), "/bin")
    assert said == f"there is no program 'echo a': {A_LIST}"
    assert explain("echo a", "'echo a' b", str(tmp_path), "/bin") is None
    assert explain("nope", ("nope", "echo b"), str(tmp_path), "/bin") is None
