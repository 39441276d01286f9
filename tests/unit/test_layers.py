"""A package imports only from rows above its own, and what is pure touches neither disk nor clock."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import aqueue

pytestmark = pytest.mark.at_length

PACKAGE = Path(aqueue.__file__).parent
MODULES = sorted(
    path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE or not path.name.startswith("__")
)

ROWS = (
    {"clock", "errors", "loading", "near_names", "processes", "search_path", "threads", "units", "visible"},
    {"model", "folder"},
    {"policy"},
    {"formats", "store", "gpus"},
    {"isolation"},
    {"executors", "intake", "notify"},
    {"client", "server"},
    {"cli"},
)
ROW = {package: row for row, packages in enumerate(ROWS) for package in packages}

WORLD = {
    "anyio",
    "asyncio",
    "fcntl",
    "os",
    "random",
    "secrets",
    "shutil",
    "socket",
    "sqlite3",
    "subprocess",
    "time",
}
# With a seed chance is pure.
SEEDED = {"model/combinations.py": {"random"}}


# They know by which means attempts are run; all others know `executors.base` alone.
KNOW_EXECUTORS = {"server/server.py", "executors/outside.py"}

# They start without what is installed, and soon: by the shell script around a command.
STAND_ALONE = ("executors/local/restore", "isolation/checkout/")


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the whole name of everything that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno} says `from .`: write the name of the package"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def test_every_package_has_its_row() -> None:
    assert {package_of(path) for path in MODULES} == set(ROW)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_package_imports_only_from_rows_above_its_own(path: Path) -> None:
    mine = package_of(path)
    wrong = [
        f"{path}:{line} imports {imported}"
        for line, imported in imports_of(path)
        if imported.startswith("aqueue.")
        and (other := imported.split(".")[1]) not in (mine, "__version__")
        and ROW[other] >= ROW[mine]
    ]
    assert not wrong


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_imports_a_name_that_is_private_to_another(path: Path) -> None:
    wrong = [
        f"{path}:{line} imports {imported}"
        for line, imported in imports_of(path)
        if imported.startswith("aqueue.") and any(re.match("_[^_]", part) for part in imported.split("."))
    ]
    assert not wrong


def test_only_the_composition_of_a_server_and_commands_without_one_know_which_executors_there_are() -> None:
    knows = {
        name_of(path)
        for path in MODULES
        if not name_of(path).startswith("executors/local/")
        and any(imported.startswith("aqueue.executors.local") for _, imported in imports_of(path))
    }
    assert knows == KNOW_EXECUTORS


def test_no_modules_import_each_other_in_a_circle() -> None:
    left = {name_of(path): {found for _, found in imports_of(path)} for path in MODULES}
    names = {name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): name for name in left}

    def needs(name: str) -> set[str]:
        found = set()
        for imported in left[name]:
            parts = imported.split(".")[1:]
            while parts and ".".join(parts) not in names:
                parts.pop()
            if parts and names[".".join(parts)] != name:
                found.add(names[".".join(parts)])
        return found

    while free := [name for name in left if not needs(name) & set(left)]:
        for name in free:
            del left[name]
    assert not left


@pytest.mark.parametrize(
    "path", [path for path in MODULES if package_of(path) in ("model", "policy")], ids=name_of
)
def test_pure_logic_touches_neither_disk_nor_clock(path: Path) -> None:
    imported = {name.partition(".")[0] for _, name in imports_of(path)}
    assert not imported & WORLD - SEEDED.get(name_of(path), set())


@pytest.mark.parametrize("path", [path for path in MODULES if name_of(path).startswith(STAND_ALONE)], ids=name_of)
def test_a_program_that_stands_alone_imports_only_the_standard_library_and_itself(path: Path) -> None:
    wrong = [
        f"{path}:{line} imports {imported}"
        for line, imported in imports_of(path)
        if imported.partition(".")[0] not in sys.stdlib_module_names
        and not imported.startswith("aqueue.isolation.checkout.")
    ]
    assert not wrong


@pytest.mark.parametrize("path", [path for path in MODULES if package_of(path) != "cli"], ids=name_of)
def test_only_the_command_line_knows_how_to_print(path: Path) -> None:
    assert not {name.partition(".")[0] for _, name in imports_of(path)} & {"click", "rich"}


@pytest.mark.parametrize("path", [path for path in MODULES if package_of(path) == "cli"], ids=name_of)
def test_the_command_line_prints_as_json_only_what_the_views_of_the_client_make(path: Path) -> None:
    views = {name.rpartition(".")[2] for _, name in imports_of(path) if name.startswith("aqueue.client.views.")}
    printed = {
        ast.unparse(node.args[0].func if isinstance(node.args[0], ast.Call) else node.args[0])
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("print_json", "json_of_slices"))
    }
    assert printed <= views


@pytest.mark.parametrize("package", [path for path in PACKAGE.iterdir() if (path / "__init__.py").exists()])
def test_a_package_says_what_it_is_for_and_what_to_read_first(package: Path) -> None:
    said = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    assert "first" in said
