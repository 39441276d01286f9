"""A module imports only from rows above it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import aqueue

PACKAGE = Path(aqueue.__file__).parent

# The layers from the lowest to the highest, and the modules of each in the order of its rows.
LAYERS = (
    ("aqueue", "search_path", "visible", "errors", "clock", "durations", "cards", "values"),
    (
        "models",
        "outcomes",
        "events",
        "placement",
        "capacity",
        "cron_syntax",
        "schedules",
        "trust",
        "folder",
        "moving",
        "rejected",
        "linked",
        "targets",
        "mounts",
        "leases",
        "settling",
    ),
    (
        "config",
        "secrecy",
        "yaml_errors",
        "calls",
        "merging",
        "placeholders",
        "documents",
        "lookalikes",
        "mistakes",
        "sweeps",
        "log_limits",
        "requests",
        "timing",
        "experiments",
        "tasks_together",
        "params_in_tasks",
        "names_in_tasks",
        "taskfile",
        "configfile",
        "lastgood",
        "migrations",
        "db",
        "vacuum",
        "threads",
        "open_files",
        "wrapper",
        "restore",
        "handover",
        "program_errors",
        "metric_lines",
        "metrics",
        "long_logs",
        "presence",
        "attempt_locks",
        "process",
        "orders",
        "room",
        "checkout",
        "snapshots",
        "origin",
        "nvml",
        "gpus",
    ),
    (
        "settings",
        "queries",
        "lines",
        "cardqueries",
        "servers",
        "claims",
        "prospects",
        "dependencies",
        "arrivals",
        "store",
        "pruning",
        "timetable",
        "keeper",
        "preparation",
        "polling",
        "watch",
        "schedulefiles",
        "overlooked",
        "filing",
        "incoming",
        "inbox",
    ),
    ("commands", "plans", "adoption", "log_keeping", "runner", "timer", "intake", "planner", "cardwatch"),
    ("rounds", "dispatcher", "signals"),
    ("server",),
    (
        "cli.output",
        "cli.types",
        "cli.render",
        "cli.tabulating",
        "cli.drawing",
        "cli.narration",
        "cli.access",
        "cli.unclaimed",
        "cli.planning",
        "cli.waiting",
        "cli.gpus",
        "cli.checking",
        "cli.params",
        "cli.known_params",
        "cli.completing",
        "cli.parsing",
        "cli.place",
        "cli.named_files",
        "cli.ordering",
    ),
    (
        "cli.asking",
        "cli.background",
        "cli.changing",
        "cli.comparing",
        "cli.following",
        "cli.queueing",
        "cli.queues",
        "cli.serving",
    ),
    ("cli", "__main__"),
)
ROWS = {name: row for row, name in enumerate(name for layer in LAYERS for name in layer)}

# What can do something, or tells what only this moment knows: no business of pure logic.
PURE = (
    "visible",
    "errors",
    "secrecy",
    "durations",
    "cards",
    "values",
    "models",
    "outcomes",
    "events",
    "placement",
    "capacity",
    "cron_syntax",
    "schedules",
    "mounts",
    "config",
    "yaml_errors",
    "calls",
    "merging",
    "placeholders",
    "documents",
    "lookalikes",
    "mistakes",
    "sweeps",
    "log_limits",
)
WORLD = {"anyio", "asyncio", "os", "random", "secrets", "shutil", "socket", "sqlite3", "subprocess", "sys", "time"}
# With a seed chance is pure.
SEEDED = {"sweeps": {"random"}}


def path_of(module: str) -> Path:
    path = PACKAGE / ("" if module == "aqueue" else module.replace(".", "/"))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__") or "aqueue"


def imports_of(module: str) -> Iterator[tuple[int, str]]:
    """The line and the whole name of everything that a module imports, anywhere in it."""
    for node in ast.walk(ast.parse(path_of(module).read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}:{node.lineno} says `from .`: write the name of the package"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def module_in(imported: str) -> str | None:
    """Which of our modules a name is, or is in; None if it is nobody of ours."""
    if imported.partition(".")[0] != "aqueue":
        return None
    name = imported.removeprefix("aqueue.")
    while name not in ROWS and name:
        name = name.rpartition(".")[0]
    return name or "aqueue"


def test_every_module_has_its_row_and_every_row_its_module() -> None:
    assert sorted(ROWS) == sorted(name_of(path) for path in PACKAGE.rglob("*.py"))
    assert len(ROWS) == sum(map(len, LAYERS)), "a module has two rows"


@pytest.mark.parametrize("module", ROWS)
def test_a_module_imports_only_from_rows_above_it(module: str) -> None:
    wrong = [
        f"{path_of(module)}:{line} imports {imported}"
        for line, imported in imports_of(module)
        if (other := module_in(imported)) is not None and ROWS[other] >= ROWS[module]
    ]
    assert not wrong


@pytest.mark.parametrize("module", PURE)
def test_pure_logic_touches_neither_disk_nor_clock(module: str) -> None:
    imported = {name.partition(".")[0] for _, name in imports_of(module)}
    assert not imported & WORLD - SEEDED.get(module, set())
