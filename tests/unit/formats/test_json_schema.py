import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.errors import FileError
from aqueue.formats import config_keys, json_schema, task_file, task_keys
from aqueue.formats.yaml_records import words_of
from aqueue.model.basics import NAME_PATTERN, is_name
from aqueue.model.config import Defaults
from tests.unit import editor
from tests.unit.spellings import SPELLINGS

DEFAULTS = Defaults(name="train", working_dir="/home/me", base="/srv/base")
EXAMPLES = Path(__file__).parents[3] / "examples"

VALIDATORS = {
    "task": jsonschema.Draft7Validator(json_schema.task()),
    "config": jsonschema.Draft7Validator(json_schema.config()),
}

NAMES = ["train", "1.20", "a-b_c", "yes"]
LENGTHS = ["90", "90s", "1h30m", "0.5", "2d12h", "'7'", "007"]
SIZES = ["20GiB", "1048576", "' 1.5 tb '", "512m", "0"]
PATHS = ["metrics.json", "[models/, '*.ckpt', a..b]", "1.20", "~x"]
URLS = ["https://host.example/x", "http://localhost:8000", "'${URL}'"]
IDS = ["[0, 2]", "[GPU-5d0c2a41, '1', 0:3]"]

SAMPLES: Mapping[str, Mapping[str, list[str]]] = {
    "task": {
        "command": ["python train.py", "[echo, 1, ~, true]", "true", "007"],
        "name": NAMES,
        "queue": NAMES,
        "priority": ["high", "low"],
        "params": ["{lr: 0.1, train.x: ~}", "{a: 'range(1, 5)'}", "{}"],
        "env": ["{A: 1, B: ''}", "{C: choice(a, b c, d)}"],
        "working_dir": ["~", "src", "/srv", "."],
        "shell": ["/bin/bash"],
        "timeout": LENGTHS,
        "log": ["{limit: 1GiB}"],
        "log.limit": ["0", "64KiB", "100000"],
        "retries": ["2", "{limit: 2, exit_codes: [0, 255]}"],
        "retries.limit": ["0", "+5"],
        "retries.delay": LENGTHS,
        "retries.backoff": ["1", "1.5"],
        "retries.max_delay": LENGTHS,
        "retries.exit_codes": ["[]", "[1, 75]"],
        "requeue": ["yes", "Off", "TRUE"],
        "tags": ["[a=b, c, ~]", "'a=b, c'", "1.20", "[]"],
        "hold": ["true", "no"],
        "gpus": ["0", "1024", *IDS],
        "gpu_memory": SIZES,
        "group": NAMES,
        "matrix": [
            "{lr: [0.1, 0.01], seed: range(1, 5)}",
            "{opt: choice(adam, 'a, b', sgd), x: 3}",
            "{a: [1], include: [{a: 2, b: ~}], exclude: [{a: 1}]}",
            "\n  seed: range(1, 3)\n  lr: [0.1]",
        ],
        "samples": ["1", "3"],
        "seed": ["0", "7"],
        "after": ["[train-1, 42, 'group:train']", "x", "[]"],
        "needs": ["[]"],
        "after_any": ["false", "on"],
        "isolate": ["git", "false", "no", "{git: true, copy: [.env], keep: never}"],
        "isolate.git": ["true", "yes"],
        "isolate.copy": PATHS,
        "isolate.link": PATHS,
        "isolate.keep": ["always", "failed"],
        "outputs": PATHS,
        "progress": ["'epoch (\\d+)/(\\d+)'", r"'(?i)(?P<n>\d+) ?%'"],
        "stdin": ["open", "'open'"],
        "schedule": ['"0 2 * * *"', "['@Daily', ' */5 * * *  MON-FRI ']"],
        "at": ["2026-12-24", "2026-12-24T18:00:00+01:00", "'20261224'"],
        "timezone": ["Europe/Berlin", "UTC", "local"],
        "catchup_window": LENGTHS,
        "overlap": ["skip", "latest"],
        "notify": ["failed", "never", "[failed, phone]", "[]", "{to: phone}"],
        "notify.on": ["failed", "[succeeded, recovered, group]", "[]"],
        "notify.to": ["phone", "[phone, 1.20]"],
    },
    "config": {
        "queues": ["{enabled: false}"],
        "queues.enabled": ["true", "off"],
        "queues.config": ["[{name: a}, {name: 1.20, max_active_runs: 3}]"],
        "queues.config.name": NAMES,
        "queues.config.max_concurrency": ["1", "5"],
        "queues.config.max_active_runs": ["2"],
        "queues.config.wait_for_running": ["yes"],
        "queues.config.paused": ["True"],
        "queues.config.gpus": IDS,
        "jobs": ["1", "8"],
        "idle_timeout": ["never", *LENGTHS],
        "heartbeat": ["{interval: 1s}"],
        "heartbeat.interval": ["1", "5s"],
        "heartbeat.stale_after": ["30s", "1h"],
        "grace": LENGTHS,
        "defaults": ["{retries: 1}"],
        "defaults.env": ["{A: ~}"],
        "defaults.timeout": LENGTHS,
        "defaults.retries": ["2"],
        "defaults.log": ["{limit: 1GiB}"],
        "defaults.log.limit": SIZES,
        "history": ["{keep: 7d}"],
        "history.keep": LENGTHS,
        "gpus": ["{slots: 2}"],
        "gpus.slots": ["1"],
        "gpus.share_with_others": ["No"],
        "gpus.ignore_memory": SIZES,
        "gpus.ids": ["index", "uuid"],
        "gpus.devices": IDS,
        "timezone": ["local", "Europe/Berlin"],
        "notify": ["[{name: a, desktop: true}, {name: b, command: x, on: failed}]", "[]"],
        "notify.name": NAMES,
        "notify.on": ["failed", "[succeeded, recovered, group]", "[]"],
        "notify.ntfy": URLS,
        "notify.command": ["./tell", "[./tell, 'a b']"],
        "notify.smtp": ["smtp://mail.example:587", "'${MAIL}'"],
        "notify.webhook": URLS,
        "notify.desktop": ["true", "yes"],
        "notify.healthcheck": URLS,
        "notify.apprise": ["tgram://x/y"],
        "notify.token": ["'${TOKEN}'", "123"],
        "notify.secret": ["'${file:secret}'"],
        "notify.to": ["a@example", "[a@example, b@example]"],
        "notify.sender": ["a@example"],
        "notify.user": ["me"],
        "notify.password": ["'${PASSWORD}'"],
    },
}

# With those that a sample alone would lack.
BASES = {
    "samples": "matrix: {a: [1, 2, 3]}",
    "seed": "matrix: {a: [1, 2]}",
    "after_any": "after: [x]",
    **dict.fromkeys(("timezone", "catchup_window", "overlap"), "schedule: '@daily'"),
}


# The keys that a sample within a mapping would lack: one key, or all below one that ends with a dot.
NEEDED = {
    "task": {"retries.": "limit: 1", "isolate.": "git: true"},
    "config": {
        "queues.config.": "name: a",
        "notify.": "name: a",
        "notify.name": "desktop: true",
        "notify.on": "name: a, desktop: true",
        "notify.smtp": "name: a, to: b",
        "notify.token": "name: a, ntfy: 'https://host'",
        "notify.secret": "name: a, webhook: 'https://host'",
        "notify.to": "name: a, smtp: 'smtp://host'",
        **dict.fromkeys(
            ("notify.sender", "notify.user", "notify.password"), "name: a, smtp: 'smtp://host', to: b"
        ),
    },
}
LISTS = {("config", "queues.config"), ("config", "notify")}


def errors(kind: str, text: str) -> list[str]:
    """Return the messages of an editor about a file."""
    return [
        error.message for document in editor.documents(text) for error in VALIDATORS[kind].iter_errors(document)
    ]


def is_accepted(kind: str, text: str) -> bool:
    """Return True if `aqueue check` accepts a file."""
    try:
        if kind == "task":
            task_file.parse(text, "train.yaml", DEFAULTS)
        else:
            config_keys.parse(text, "aqueue.yaml")
    except FileError:
        return False
    return True


def values(kind: str, key: str) -> st.SearchStrategy[str]:
    """Return values for a key, many of them right."""
    samples = SAMPLES[kind]
    quoted = st.text(st.sampled_from("0189.dhms KMGiBt/~a:-_,=@*+\n"), max_size=8).map(json.dumps)
    found = [st.sampled_from(samples[key])] * 4 + [st.sampled_from(SPELLINGS), quoted]
    found.append(st.lists(st.sampled_from(SPELLINGS), max_size=3).map(lambda items: f"[{', '.join(items)}]"))
    if below := [each for each in samples if each.startswith(f"{key}.") and "." not in each[len(key) + 1 :]]:
        mappings = st.lists(st.sampled_from(below), unique=True).flatmap(
            lambda keys: st.tuples(
                *(values(kind, each).map(f"{each.rpartition('.')[2]}: ".__add__) for each in keys)
            )
        )
        form = "[{{{}}}]" if (kind, key) in LISTS else "{{{}}}"
        found += [mappings.map(lambda entries: form.format(", ".join(entries)))] * 4
    return st.one_of(found)


def files(kind: str) -> st.SearchStrategy[str]:
    """Return files with some keys, many of them right."""
    keys = [key for key in SAMPLES[kind] if "." not in key]
    chosen = st.lists(st.sampled_from([key for key in keys if key != "command"]), unique=True, max_size=3)
    return chosen.flatmap(
        lambda some: st.tuples(
            *(
                values(kind, key).map(f"{key}: ".__add__)
                for key in dict.fromkeys([*(["command"] if kind == "task" else []), *some])
            )
        )
    ).map(lambda lines: "\n".join([*lines, "x-shared: {a: [1]}"]))


@pytest.mark.parametrize(("kind", "keys"), [("task", task_keys.Keys), ("config", config_keys.Keys)])
def test_there_are_samples_for_every_key(kind: str, keys: type[msgspec.Struct]) -> None:
    assert set(SAMPLES[kind]) == set(words_of(keys))


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [(kind, key, value) for kind, keys in SAMPLES.items() for key, found in keys.items() for value in found],
)
def test_a_right_value_is_accepted_by_both(kind: str, key: str, value: str) -> None:
    outer, _, name = key.rpartition(".")
    needed = NEEDED[kind].get(key, NEEDED[kind].get(f"{outer}.", ""))
    text = ", ".join([*([needed] if needed and not needed.startswith(f"{name}:") else []), f"{name}: {value}"])
    while outer:
        rest, _, step = outer.rpartition(".")
        text = f"{step}: [{{{text}}}]" if (kind, outer) in LISTS else f"{step}: {{{text}}}"
        outer = rest
    if kind == "task" and key != "command":
        text = "\n".join(filter(None, ["command: x", BASES.get(key), text]))
    assert is_accepted(kind, text), text
    assert errors(kind, text) == []


@given(st.sampled_from(["task", "config"]).flatmap(lambda kind: st.tuples(st.just(kind), files(kind))))
def test_a_schema_accepts_whatever_check_accepts(drawn: tuple[str, str]) -> None:
    kind, text = drawn
    if is_accepted(kind, text):
        assert errors(kind, text) == []


MISTAKES = [
    ("task", "comand: python train.py"),
    ("task", "queue: gpu"),
    ("task", "command: x\nretries: many"),
    ("task", "command: x\nretries: {limt: 2}"),
    ("task", "command: x\npriority: urgent"),
    ("task", "command: x\ntimeout: 2 hours"),
    ("task", "command: x\ngpu_memory: 20 gigs"),
    ("task", "command: x\ngpus: -1"),
    ("task", "command: x\nname: my training"),
    ("task", "command: x\nparams: {lr: 0.1, 0.2}"),
    ("task", "command: x\nparams: {model: {hidden: 8}}"),
    ("task", "command: x\nschedule: every day at two"),
    ("task", "command: x\nschedule: '@daily'\nat: 2026-12-24"),
    ("task", "command: x\nsamples: 20"),
    ("task", "command: x\nmatrix: {lr: [0.1], samples: 20}"),
    ("task", "command: x\ntimeout:"),
    ("task", "command: x\noutputs: [../results]"),
    ("task", "- command: x"),
    ("config", "queues: {config: [{name: gpu, max_concurrency: 0}]}"),
    ("config", "queues: [{name: gpu}]"),
    ("config", "job: 2"),
]


@pytest.mark.parametrize(("kind", "text"), MISTAKES)
def test_a_typical_mistake_is_flagged(kind: str, text: str) -> None:
    assert not is_accepted(kind, text)
    assert errors(kind, text)


def test_merge_keys_and_shared_blocks_are_no_mistakes() -> None:
    text = "x-gpu: &gpu {queue: gpu, command: x}\n<<: *gpu\ntimeout: 4h\n---\nx-only: {a: 1}\n"
    assert is_accepted("task", text)
    assert errors("task", text) == []


@pytest.mark.parametrize("example", sorted(EXAMPLES.rglob("*.yaml")), ids=lambda path: path.name)
def test_an_example_names_the_schema_that_init_writes(example: Path) -> None:
    text = example.read_text()
    assert errors("task", text) == []
    mark, _, path = text.splitlines()[0].partition("=")
    assert mark == "# yaml-language-server: $schema"
    assert (example.parent / path).resolve() == EXAMPLES.parent / "queue/.aqueue/task.schema.json"


@given(st.text(st.sampled_from("aZ09_.-é \n/"), max_size=70))
def test_the_pattern_of_names_is_that_of_the_reader(text: str) -> None:
    assert bool(re.fullmatch(NAME_PATTERN, text)) == is_name(text)


def patterns(schema: Any) -> set[str]:
    """Return all regular expressions in a schema."""
    if isinstance(schema, list):
        return set().union(*map(patterns, schema))
    if not isinstance(schema, dict):
        return set()
    own = {schema["pattern"]} if isinstance(schema.get("pattern"), str) else set()
    return own.union(schema.get("patternProperties", {}), *map(patterns, schema.values()))


def test_a_mismatch_of_a_pattern_is_explained_in_words() -> None:
    properties = json_schema.task()["properties"]
    assert properties["timeout"]["patternErrorMessage"].startswith("Expected a length of time")
    assert properties["outputs"]["anyOf"][1]["items"]["patternErrorMessage"].startswith("Expected a list of paths")


@pytest.mark.parametrize("kind", SAMPLES)
def test_patterns_have_nothing_that_javascript_lacks(kind: str) -> None:
    found = patterns(VALIDATORS[kind].schema)
    assert len(found) > 3
    assert not [pattern for pattern in found if re.search(r"\(\?(?![:=!])|\\[AZzGkpP]|[*+?}]\+", pattern)]
