"""The states of files that are not dealt with yet, for as long as they are needed."""

import os
from pathlib import Path

from aqueue.folder.settling import Settling, signature


def test_nothing_is_kept_of_a_file_that_is_left_alone_but_what_people_were_told(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.touch()
    status, settling = os.lstat(path), Settling(lambda _: None)
    settling.see(str(path), status)
    settling.recheck_in(str(path), 1.0)
    settling.reset(str(path))
    assert (settling.states, settling.next_check) == ({}, None)
    settling.see(str(path), status)
    settling.state_of(str(path)).reported_as = signature(status)
    settling.reset(str(path))
    assert settling.state_of(str(path)).reported_as == signature(status)
    settling.forget(str(path))
    assert settling.states == {}


def test_a_file_that_stays_is_not_looked_at_again(tmp_path: Path) -> None:
    settling = Settling(lambda _: None)
    seen = settling.see(str(tmp_path), os.lstat(tmp_path))
    settling.recheck_at(str(tmp_path), 5.0)
    assert (settling.to_recheck(4.9), settling.to_recheck(5.0)) == ([], [str(tmp_path)])
    settling.stay(str(tmp_path), seen.signature)
    assert (settling.to_recheck(9e9), settling.state_of(str(tmp_path)).stays_as) == ([], seen.signature)
