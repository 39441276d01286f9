"""Check that the package is fit to be published: `python -m tests.package DIST`.

Looks into the wheel and the sdist in DIST, and installs the wheel into an environment that has nothing else.
"""

import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

IN_WHEEL = ("aqueue/__init__.py", "aqueue/__main__.py", "aqueue/cli/__init__.py", "aqueue/py.typed")
IN_SDIST = (
    "LICENSE",
    "README.md",
    "CHANGELOG.md",
    "pyproject.toml",
    "tox.ini",
    "aqueue/py.typed",
    "tests/package.py",
    "examples/quickstart/train.py",
    "examples/quickstart/sizes.yaml",
)
METADATA = {"Name": "aqueue", "License-Expression": "MIT", "License-File": "LICENSE", "Requires-Python": ">=3.11"}


class UnfitError(Exception):
    """Something is missing, or is not as it should be."""


def metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return message_from_string(wheel.read(name).decode())


def check_wheel(path: Path) -> str:
    """Look into the wheel, and return the version that it says it has."""
    with zipfile.ZipFile(path) as wheel:
        names, found = wheel.namelist(), metadata(wheel)
    for name in IN_WHEEL:
        if name not in names:
            raise UnfitError(f"{path.name} lacks {name}")
    if not any(name.endswith(".dist-info/licenses/LICENSE") for name in names):
        raise UnfitError(f"{path.name} lacks its license")
    if strange := {name.partition("/")[0] for name in names} - {"aqueue", f"aqueue-{found['Version']}.dist-info"}:
        raise UnfitError(f"{path.name} would install more than aqueue: {', '.join(sorted(strange))}")
    for key, value in METADATA.items():
        if found[key] != value:
            raise UnfitError(f"{path.name} says {key}: {found[key]}, not {value}")
    if "# aqueue" not in str(found.get_payload()):
        raise UnfitError(f"{path.name} does not carry the README")
    return str(found["Version"])


def check_sdist(path: Path) -> None:
    with tarfile.open(path) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    if missing := sorted(set(IN_SDIST) - names):
        raise UnfitError(f"{path.name} lacks {', '.join(missing)}")


def check_installed(wheel: Path, version: str, root: Path) -> None:
    """Install the wheel, and see whether the command that it brings works."""
    venv.create(root / "clean", with_pip=True)
    python = root / "clean" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", wheel.resolve()], check=True)
    for command in ([python.with_name("aqueue")], [python, "-m", "aqueue"]):
        printed = subprocess.run([*command, "--version"], check=True, capture_output=True, text=True, cwd=root)
        if printed.stdout != f"aqueue {version}\n":
            raise UnfitError(f"--version of what {wheel.name} installs: {printed.stdout!r}")


def only(found: list[Path], what: str) -> Path:
    if len(found) != 1:
        raise UnfitError(f"expected one {what}, found {len(found)}")
    return found[0]


def main() -> None:
    dist = Path(sys.argv[1])
    try:
        wheel, sdist = only([*dist.glob("*.whl")], "wheel"), only([*dist.glob("*.tar.gz")], "sdist")
        version = check_wheel(wheel)
        check_sdist(sdist)
        with tempfile.TemporaryDirectory(prefix="aqueue-package-") as directory:
            check_installed(wheel, version, Path(directory))
    except UnfitError as error:
        sys.exit(f"error: {error}")
    print(f"{wheel.name} and {sdist.name} are fit")


if __name__ == "__main__":
    main()
