"""Files that a checkout would lack are refused, unless they are copied or linked."""

from pathlib import Path

import pytest

from aqueue.model.task import Isolation
from tests.integration.isolation.refusals import refusal
from tests.integration.repositories import Repository

pytestmark = pytest.mark.at_length

LFS = "*.bin filter=lfs\n"


def test_a_submodule_is_refused_unless_it_is_brought_along(tmp_path: Path, repository: Repository) -> None:
    library = Repository.create(tmp_path / "library")
    for path in ("src/lib", "src/deep/er"):
        repository.git("submodule", "--quiet", "add", str(library.path), path)
    repository.commit()
    (repository.path / "other").mkdir()
    before = repository.noticeable()
    assert "src/deep/er is a submodule" in refusal(repository).message
    assert "link" in refusal(repository).hint
    assert "lib is a submodule" in refusal(repository, Isolation(link=("deep",)), within="src").message
    outside = refusal(repository, within="other")
    assert "../src/deep/er is a submodule" in outside.message
    assert "`working_dir`" in outside.hint
    assert "src/lib is" in refusal(repository, Isolation(link=("src/deep/er", "src/li"))).message
    for isolation, within in (
        (Isolation(link=("src/lib",), copy=("src/deep/",)), ""),
        (Isolation(link=("src",)), ""),
        (Isolation(copy=("./lib", "deep/er")), "src"),
    ):
        assert repository.take(isolation, within).commit == repository.head
    assert repository.noticeable() == before


def test_files_in_lfs_are_refused_unless_git_is_set_up_for_it_or_they_are_brought_along(
    repository: Repository,
) -> None:
    repository.write(".gitattributes", LFS)
    repository.write("models/big.bin", "version https://git-lfs.github.com/spec/v1\n")
    repository.commit()
    for skipped in (None, "git-lfs smudge --skip -- %f"):
        if skipped:
            repository.git("config", "filter.lfs.smudge", skipped)
        refused = refusal(repository)
        assert "models/big.bin is stored in Git LFS" in refused.message
        assert "git lfs install" in refused.hint
        assert "big.bin is stored" in refusal(repository, within="models").message
    assert repository.take(Isolation(link=("models",))).commit == repository.head
    assert repository.take(Isolation(copy=("big.bin",)), "models").commit == repository.head
    repository.git("config", "filter.lfs.smudge", "git-lfs smudge -- %f")
    assert repository.take().commit == repository.head
