"""A repository and an attempt at a checkout of it."""

from pathlib import Path

import pytest

from tests.integration.repositories import Attempt, Repository, hide_configuration


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    hide_configuration(monkeypatch)
    return Repository.create(tmp_path / "code")


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def attempt(repository: Repository, run_dir: Path) -> Attempt:
    return Attempt(run_dir, repository.path, repository.take())
