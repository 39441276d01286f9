"""What is known of files that are not dealt with, as long as it is needed."""

import os
from pathlib import Path

from aqueue.folder.settling import Settling, signature


def test_nothing_is_kept_of_a_file_that_is_left_alone_but_what_people_were_told(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.touch()
    status, settling = os.lstat(path), Settling(lambda _: None)
    settling.see(str(path), status)
    settling.look_in(str(path), 1.0)
    settling.leave(str(path))
    assert (settling.known, settling.next_look) == ({}, None)
    settling.see(str(path), status)
    settling.of(str(path)).told_as = signature(status)
    settling.leave(str(path))
    assert settling.of(str(path)).told_as == signature(status)
    settling.forget(str(path))
    assert settling.known == {}


def test_a_file_that_stays_is_not_looked_at_again(tmp_path: Path) -> None:
    settling = Settling(lambda _: None)
    seen = settling.see(str(tmp_path), os.lstat(tmp_path))
    settling.look_at(str(tmp_path), 5.0)
    assert (settling.due(4.9), settling.due(5.0)) == ([], [str(tmp_path)])
    settling.stay(str(tmp_path), seen.signature)
    assert (settling.due(9e9), settling.of(str(tmp_path)).stays_as) == ([], seen.signature)
