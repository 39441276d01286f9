"""The user's directory that a checkout stands for."""

import json
import os
from pathlib import Path

import pytest

from aqueue.isolation import origin
from aqueue.isolation.origin import Origin
from tests.integration.conftest import as_root


def checkout(tmp_path: Path, source: str, prefix: str = "", number: int = 1) -> Path:
    """Make the files of an attempt whose checkout comes from a directory."""
    made = tmp_path / "runs" / "7" / f"checkout-{number}"
    (made / prefix).mkdir(parents=True)
    plan = {"source": source, "checkout": str(made), "prefix": prefix, "repository": "/r/.git", "commit": "c0ffee"}
    made.with_name(f"attempt-{number}.plan").write_text(json.dumps(plan))
    return made


def found(path: Path) -> Origin:
    here = origin.find(str(path))
    assert here is not None
    return here


@pytest.mark.parametrize("within", ["", "a", "a/b"])
@pytest.mark.parametrize("prefix", ["", "a", "x/y"])
def test_a_path_in_a_checkout_stands_for_one_of_the_user_s(tmp_path: Path, prefix: str, within: str) -> None:
    made = checkout(tmp_path, f"/home/me/code/{prefix}".rstrip("/"), prefix)
    here = found(made / within)
    assert here.original(str(made / within)) == f"/home/me/code/{within}".rstrip("/")
    assert here.original("/elsewhere") == "/elsewhere"
    assert here.original(f"{made}-2/x") == f"{made}-2/x"


def test_the_innermost_checkout_counts(tmp_path: Path) -> None:
    outer = checkout(tmp_path, "/outer")
    inner = checkout(outer, "/inner", number=3)
    assert found(inner).top == "/inner"
    assert found(inner.parent).top == "/outer"


def test_a_link_to_a_directory_of_the_code_is_followed(tmp_path: Path) -> None:
    (tmp_path / "code" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "code" / "sub")
    here = found(checkout(tmp_path, str(tmp_path / "link"), "sub"))
    assert here.top == str(tmp_path / "code")
    snapshot = here.snapshot(str(tmp_path / "link"))
    assert snapshot is not None
    assert (snapshot.prefix, snapshot.commit, snapshot.repository) == ("sub", "c0ffee", "/r/.git")


def test_other_directories_have_code_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "code" / "lib" / ".git").mkdir(parents=True)
    here = found(checkout(tmp_path, str(tmp_path / "code")))
    assert here.snapshot(str(tmp_path)) is None
    assert here.snapshot(str(tmp_path / "code" / "lib" / "deep")) is None
    assert here.snapshot(str(tmp_path / "code" / "libs")) is not None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"source": 1, "prefix": "a"}', '{"source": "/x", "prefix": "a"}']
)
def test_what_is_no_plan_makes_no_checkout(tmp_path: Path, text: str) -> None:
    made = tmp_path / "checkout-1"
    made.mkdir()
    (tmp_path / "attempt-1.plan").write_text(text)
    assert origin.find(str(made)) is None
    assert origin.find(str(tmp_path)) is None


@as_root
def test_the_plan_of_another_user_says_nothing(tmp_path: Path) -> None:
    made = checkout(tmp_path, "/home/other")
    os.chown(made.with_name("attempt-1.plan"), 12345, 12345)
    assert origin.find(str(made)) is None
