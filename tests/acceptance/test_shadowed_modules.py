"""A module of the user's that has the name of one that Python or aqueue imports is never run by aqueue."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.driving import Place

NAMES = ("random", "queue", "click", "signal", "json", "yaml", "sqlite3", "shutil", "anyio", "sitecustomize")
IMPORTED_BEFORE_ANY_MODULE = ("types", "typing", "aqueue")
"""The modules that `python -m` itself imports, or searches for, from the current directory."""


def shadow(place: Place, names: tuple[str, ...]) -> None:
    """Put modules beside the folder that leave a file behind when they are run."""
    for name in names:
        place.path(f"{name}.py").write_text(f"open({str(place.base / 'was-run')!r}, 'a').write('{name} ')\n")


def run(place: Place, *command: str) -> str:
    done = subprocess.run(
        command, cwd=place.base, env=place.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done
    return done.stdout


def test_a_server_in_the_background_and_all_that_it_starts_import_nothing_from_beside_the_folder(
    place: Place,
) -> None:
    place.init()
    (place.folder / "aqueue.yaml").write_text("gpus: {devices: [0]}\n")
    shadow(place, NAMES + IMPORTED_BEFORE_ANY_MODULE)
    aqueue = str(Path(sys.executable).with_name("aqueue"))
    # Its program that copies outputs, and the one that looks at GPUs.
    place.path("task").write_text("command: touch made\noutputs: [made]\ngpus: 1\n")
    run(place, aqueue, "start")
    try:
        run(place, aqueue, "enqueue", "-N", "one", "task")
        run(place, aqueue, "wait")
        run(place, aqueue, "gpus")
    finally:
        run(place, aqueue, "stop")
    assert (place.state / "runs" / "1" / "made").exists()
    assert not place.path("was-run").exists()


@pytest.mark.parametrize("path", [None, "."])
def test_python_m_aqueue_imports_nothing_from_the_current_directory(place: Place, path: str | None) -> None:
    place.init()
    shadow(place, tuple(name for name in NAMES if name != "sitecustomize"))
    if path is not None:
        place.environment["PYTHONPATH"] = f"{path}:/nowhere"
    run(place, sys.executable, "-m", "aqueue", "add", "true")
    assert "true" in run(place, sys.executable, "-m", "aqueue", "ls")
    run(place, sys.executable, "-m", "aqueue", "serve", "--drain")
    assert not place.path("was-run").exists()
