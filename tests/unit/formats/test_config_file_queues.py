"""The `queues` of `aqueue.yaml`, which may be those that somebody wrote for Dagu."""

from pathlib import Path

import pytest

from aqueue.errors import FileError, UsageError
from aqueue.folder.layout import Folder
from aqueue.formats.config_file import parse, under
from aqueue.formats.last_good_config import load
from aqueue.model.config import Config, Queue

# As it is on Dagu's page about queues.
FROM_DAGU = """\
# ~/.config/dagu/config.yaml
queues:
  enabled: true
  config:
    - name: "critical"
      max_concurrency: 5
    - name: "batch"
      max_concurrency: 1
    - name: "reporting"
      max_concurrency: 3
"""
NUMBER = "expected a number from 1 upwards"
SLOTS = f"{NUMBER} (`paused: true` starts no runs)"
NAME = "queues.config.name: expected 1 to 64 letters, digits, '_', '.' or '-', got"
BATCH = "a list such as - {name: batch, max_concurrency: 2}"
ENABLED = "AQUEUE_QUEUE_ENABLED"


def read(text: str) -> Config:
    return parse(text.encode(), "aqueue.yaml")


def one(keys: str) -> str:
    """A configuration with one queue that has these keys, at column 29."""
    return f"queues: {{config: [{{name: a, {keys}}}]}}"


def error_in(text: str) -> tuple[str, str]:
    with pytest.raises(FileError) as caught:
        read(text)
    return caught.value.message.removeprefix("aqueue.yaml:"), caught.value.hint


def test_what_was_written_for_dagu_is_read_as_it_is() -> None:
    assert read(FROM_DAGU) == Config(
        queues={
            "critical": Queue(name="critical", max_concurrency=5),
            "batch": Queue(name="batch", max_concurrency=1),
            "reporting": Queue(name="reporting", max_concurrency=3),
        }
    )


@pytest.mark.parametrize("text", ["queues: {}", "queues: {enabled: true}", "queues: {config: []}"])
def test_queues_are_enabled_and_none_is_configured_unless_it_says_so(text: str) -> None:
    assert read(text) == Config()


@pytest.mark.parametrize(
    ("keys", "slots", "warnings"),
    [
        ("max_concurrency: 4", 4, 0),
        ("max_active_runs: 4", 4, 1),
        ("max_concurrency: 2, max_active_runs: 4", 4, 1),
        ("max_concurrency: 4, max_active_runs: 2", 2, 1),
    ],
)
def test_the_old_name_of_max_concurrency_wins_with_a_warning(keys: str, slots: int, warnings: int) -> None:
    config = read(one(keys))
    assert config.queues["a"].max_concurrency == slots
    assert len(config.warnings) == warnings


def test_one_warning_names_all_queues_with_the_old_name() -> None:
    configured = "{name: a, max_active_runs: 2}, {name: b}, {name: c, max_active_runs: 3, max_concurrency: 1}"
    (warning,) = read(f"queues: {{config: [{configured}]}}").warnings
    assert "max_active_runs is the old name of max_concurrency, and wins over it" in warning
    assert "queue a, c" in warning


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("queue: {}", "1:1: unknown key 'queue'", "did you mean 'queues'?"),
        ("queues: 5", "1:9: queues: expected {enabled: true, config: […]}, got 5", ""),
        ("queues:", "1:8: queues: expected {enabled: true, config: […]}, got nothing", ""),
        ("queues: {conf: []}", "1:10: unknown key 'conf'", "did you mean 'config'?"),
        ("queues: {enabled: maybe}", "1:19: queues.enabled: expected true or false, got 'maybe'", ""),
        ("queues: {config: {name: a}}", f"1:18: queues.config: expected {BATCH}, got keys and values", ""),
        ("queues: {config: [a, b]}", f"1:19: queues.config.0: expected {BATCH}, got 'a'", ""),
        ("queues: {config: [{paused: true}]}", "1:19: 'name' is missing", "add: name: …"),
        ("queues:\n  config:\n    - name: a b", f"3:13: {NAME} 'a b'", ""),
        ("queues: {config: [{name: ''}]}", f"1:26: {NAME} ''", ""),
        ("queues: {config: [{name: ..}]}", f"1:26: {NAME} '..'", ""),
        ("queues: {config: [{name: a/b}]}", f"1:26: {NAME} 'a/b'", ""),
        (
            "queues:\n  config:\n    - name: a\n    - name: b\n    - name: a\n      paused: true",
            "5:13: queue a is configured twice",
            "keep one of them",
        ),
        (
            "queues:\n  config:\n    - name: a\n    - name: b\n      max_concurency: 2",
            "5:7: unknown key 'max_concurency'",
            "did you mean 'max_concurrency'?",
        ),
        (one("maxConcurrency: 3"), "1:29: unknown key 'maxConcurrency'", "did you mean 'max_concurrency'?"),
        (
            one("colour: red"),
            "1:29: unknown key 'colour'",
            "known keys: name, max_concurrency, max_active_runs, wait_for_running, paused, gpus",
        ),
        (one("paused: true, paused: false"), "1:43: 'paused' is given twice", "keep one of them"),
        (
            one("gpus: [0, 0]"),
            "1:35: queues.config.gpus: expected a list of indices or UUIDs, such as [0, 2] or [GPU-5d0c2a41],"
            " got [0, 0]",
            "",
        ),
        (one("max_concurrency: 0"), f"1:46: queues.config.0.max_concurrency: {SLOTS}, got 0", ""),
        (one("max_concurrency: -1"), f"1:46: queues.config.0.max_concurrency: {SLOTS}, got -1", ""),
        (one("max_active_runs: 0"), f"1:46: queues.config.0.max_active_runs: {SLOTS}, got 0", ""),
        (
            one("max_concurrency: 2, max_active_runs: 0"),
            f"1:66: queues.config.0.max_active_runs: {SLOTS}, got 0",
            "",
        ),
        (
            "queues: {}\npaths:\n  queue_dir: /var/queue",
            "2:1: unknown key 'paths'",
            "name the folder with --dir or AQUEUE_DIR; that is what Dagu's queue_dir is here",
        ),
    ],
)
def test_wrong_queues_are_refused(text: str, message: str, hint: str) -> None:
    assert error_in(text) == (message, hint)


@pytest.mark.parametrize(
    ("text", "at", "expected", "got"),
    [
        (one("max_concurrency: many"), "1:46", NUMBER, "'many'"),
        (one("max_concurrency: 1.5"), "1:46", NUMBER, "1.5"),
        (one("max_active_runs: true"), "1:46", NUMBER, "true"),
        (one("wait_for_running: 5"), "1:47", "expected true or false", "5"),
        (one("paused: soon"), "1:37", "expected true or false", "'soon'"),
        (one("max_concurrency: "), "1:46", NUMBER, "nothing"),
        (one("max_active_runs: null"), "1:46", NUMBER, "nothing"),
        ("queues: {config: [{name: 5/6}]}", "1:26", "expected 1 to 64 letters", "'5/6'"),
    ],
)
def test_a_wrong_value_is_refused_with_what_its_own_key_takes(text: str, at: str, expected: str, got: str) -> None:
    message, _ = error_in(text)
    assert message.startswith(f"{at}: ")
    assert expected in message
    assert message.endswith(f", got {got}")


# Enabled or not


def test_queues_that_are_not_enabled_say_by_what() -> None:
    assert read("queues: {enabled: false}").disabled_by == "enabled: false in aqueue.yaml"


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("word", ["true", "TRUE", "yes", "on", "1"])
def test_the_environment_enables_queues_whatever_the_file_says(word: str, written: bool) -> None:
    config = read(f"queues: {{enabled: {written}}}")
    assert under({ENABLED: word}, config).disabled_by is None


@pytest.mark.parametrize("written", [True, False])
@pytest.mark.parametrize("word", ["false", "False", "no", "off", "0"])
def test_the_environment_disables_queues_whatever_the_file_says(word: str, written: bool) -> None:
    config = read(f"queues: {{enabled: {written}}}")
    assert under({ENABLED: word}, config).disabled_by == f"AQUEUE_QUEUE_ENABLED={word}"


@pytest.mark.parametrize("environment", [{}, {ENABLED: ""}, {"DAGU_QUEUE_ENABLED": "false"}])
def test_an_environment_that_says_nothing_changes_nothing(environment: dict[str, str]) -> None:
    for text in (FROM_DAGU, "queues: {enabled: false}"):
        assert under(environment, read(text)) == read(text)


@pytest.mark.parametrize("word", ["maybe", "2", "flase", "none"])
def test_a_word_that_is_neither_is_an_error(word: str) -> None:
    with pytest.raises(UsageError) as caught:
        under({ENABLED: word}, Config())
    assert caught.value.message == f"AQUEUE_QUEUE_ENABLED={word}: expected true or false"
    assert "unset AQUEUE_QUEUE_ENABLED" in caught.value.hint


def test_the_environment_changes_nothing_but_whether_queues_are_enabled(tmp_path: Path) -> None:
    (tmp_path / "aqueue.yaml").write_text(FROM_DAGU)
    config = load(Folder(tmp_path), {ENABLED: "off"}).config
    assert config.disabled_by == "AQUEUE_QUEUE_ENABLED=off"
    assert config.queues == read(FROM_DAGU).queues


def test_the_name_of_a_queue_is_what_is_written() -> None:
    assert list(read("queues: {config: [{name: 2.50}, {name: 007}]}").queues) == ["2.50", "007"]
