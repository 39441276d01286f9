from pathlib import Path

import pytest

from aqueue.errors import FileError
from aqueue.folder.layout import Folder
from aqueue.formats.config_file import parse
from aqueue.formats.last_good_config import load
from aqueue.model.config import Config, Defaults, Queue, Rules
from aqueue.model.gpu import GPUS
from aqueue.model.task import Retries

LENGTH = "a length of time such as 10s, 5m or 1h30m, got"
KEYS = "known keys: queues, jobs, idle_timeout, heartbeat, grace, defaults, history, gpus, timezone, notify"
TIMEZONE = "timezone: expected local, or a timezone such as Europe/Berlin, got"
SIZE = "expected a size from 64KiB upwards such as 1GiB, or 0 for no limit, got"
ENV = "defaults.env: expected keys and plain values, such as {OMP_NUM_THREADS: 4}, got"


def read(text: str) -> Config:
    return parse(text.encode(), "aqueue.yaml")


def error_in(text: str) -> tuple[str, str]:
    with pytest.raises(FileError) as caught:
        read(text)
    return caught.value.message, caught.value.hint


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}"])
def test_what_is_not_configured_is_at_its_default(text: str) -> None:
    assert read(text) == Config(
        jobs=1,
        idle_timeout=None,
        heartbeat_interval=5.0,
        stale_after=30.0,
        grace=10.0,
        env={},
        timeout=None,
        retries=Retries(limit=0),
        keep=30 * 86400.0,
        queues={},
        disabled_by=None,
        timezone="local",
        warnings=(),
    )


def test_every_key_of_the_configuration_arrives() -> None:
    configured = read("""\
queues:
  enabled: false
  config:
    - {name: batch, max_concurrency: 2, wait_for_running: true, paused: true}
    - {name: gpu}
jobs: 3
idle_timeout: 10m
heartbeat: {interval: 1s, stale_after: 6s}
grace: 2
defaults: {env: {OMP_NUM_THREADS: 4}, timeout: 4h, retries: 2, log: {limit: 1GiB}}
history: {keep: 7d}
timezone: Europe/Berlin
""")
    assert configured == Config(
        jobs=3,
        idle_timeout=600.0,
        heartbeat_interval=1.0,
        stale_after=6.0,
        grace=2.0,
        env={"OMP_NUM_THREADS": "4"},
        timeout=14400.0,
        retries=Retries(limit=2),
        log_limit=1 << 30,
        keep=7 * 86400.0,
        queues={
            "batch": Queue(name="batch", max_concurrency=2, wait_for_running=True, paused=True),
            "gpu": Queue(name="gpu", max_concurrency=1, wait_for_running=False, paused=False),
        },
        disabled_by="enabled: false in aqueue.yaml",
        timezone="Europe/Berlin",
    )


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("idle_timeout: never", "idle_timeout", None),
        ("idle_timeout: 0", "idle_timeout", 0.0),
        ("grace: 0", "grace", 0.0),
        ("heartbeat: {interval: 0.5}", "heartbeat_interval", 0.5),
        ("heartbeat: {interval: 1}", "stale_after", 30.0),
        ("defaults: {timeout: 0}", "timeout", None),
        ("defaults: {log: {limit: 0}}", "log_limit", None),
        ("defaults: {env: {A: true, B: 3.10, C: Yes}}", "env", {"A": "true", "B": "3.10", "C": "Yes"}),
        ("timezone: local", "timezone", "local"),
        ("timezone: UTC", "timezone", "UTC"),
        ("timezone: 'America/Argentina/Ushuaia'", "timezone", "America/Argentina/Ushuaia"),
    ],
)
def test_a_key_may_be_written_in_several_ways(text: str, field: str, value: object) -> None:
    assert getattr(read(text), field) == value


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("- jobs", "1:1: expected keys and values, got a list", ""),
        ("jobs: 1\n---\njobs: 2", "3:1: a configuration is one document", "remove the second"),
        ("job: 2", "1:1: unknown key 'job'", "did you mean 'jobs'?"),
        ("jobs: 1\ncolour: red", "2:1: unknown key 'colour'", KEYS),
        ("jobs: 1\njobs: 2", "2:1: 'jobs' is given twice", "keep one of them"),
        ("jobs: 0", "1:7: jobs: expected a number from 1 upwards, got 0", ""),
        ("jobs: many", "1:7: jobs: expected a number from 1 upwards, got 'many'", ""),
        ("jobs: true", "1:7: jobs: expected a number from 1 upwards, got true", ""),
        ("jobs: 1.5", "1:7: jobs: expected a number from 1 upwards, got 1.5", ""),
        ("idle_timeout: soon", f"1:15: idle_timeout: expected never, or {LENGTH} 'soon'", ""),
        ("heartbeat: 5s", "1:12: heartbeat: expected {interval: 5s, stale_after: 30s}, got '5s'", ""),
        ("heartbeat: {interval: x}", f"1:23: heartbeat.interval: expected {LENGTH} 'x'", ""),
        ("heartbeat: {stale_after: -1}", f"1:26: heartbeat.stale_after: expected {LENGTH} -1", ""),
        ("heartbeat: {stale: 60}", "1:13: unknown key 'stale'", "did you mean 'stale_after'?"),
        ("grace: -1", f"1:8: grace: expected {LENGTH} -1", ""),
        ("grace: [1]", f"1:8: grace: expected {LENGTH} a list", ""),
        ("defaults: 5", "1:11: defaults: expected {env: {}, timeout: 4h, retries: 0}, got 5", ""),
        ("defaults: {evn: {}}", "1:12: unknown key 'evn'", "did you mean 'env'?"),
        ("defaults: {env: [A=1]}", f"1:17: {ENV} a list", ""),
        ("defaults:\n  timeout: x", f"2:12: defaults.timeout: expected {LENGTH} 'x'", ""),
        ("defaults: {log: {limit: 1KiB}}", f"1:25: defaults.log.limit: {SIZE} '1KiB'", ""),
        ("defaults: {log: 1GiB}", "1:17: defaults.log: expected {limit: 1GiB}, got '1GiB'", ""),
        ("defaults: {retries: -1}", "1:21: defaults.retries: expected a number from 0 upwards, got -1", ""),
        (
            "defaults: {retries: {limit: 1}}",
            "1:21: defaults.retries: expected a number from 0 upwards, got keys and values",
            "",
        ),
        ("history: 30d", "1:10: history: expected {keep: 30d}, got '30d'", ""),
        ("history: {keep: x}", f"1:17: history.keep: expected {LENGTH} 'x'", ""),
        ("timezone:", f"1:10: {TIMEZONE} nothing", ""),
        ("jobs:", "1:6: jobs: expected a number from 1 upwards, got nothing", ""),
        ("defaults: {timeout: }", f"1:21: defaults.timeout: expected {LENGTH} nothing", ""),
        ("gpus:\n  devices: ~", f"2:12: gpus.devices: expected {GPUS}, got nothing", ""),
        ("timezone: ''", f"1:11: {TIMEZONE} ''", ""),
        ("timezone: 1", f"1:11: {TIMEZONE} 1", ""),
        ("timezone: [UTC]", f"1:11: {TIMEZONE} a list", ""),
        ("jobs: 2\ntimezone: Europe", f"2:11: {TIMEZONE} 'Europe'", ""),
        ("timezone: Europe/Munich", f"1:11: {TIMEZONE} 'Europe/Munich'", ""),
        ("timezone: ../etc/passwd", f"1:11: {TIMEZONE} '../etc/passwd'", ""),
        ("timezon: UTC", "1:1: unknown key 'timezon'", "did you mean 'timezone'?"),
    ],
)
def test_a_wrong_configuration_is_refused(text: str, message: str, hint: str) -> None:
    assert error_in(text) == (f"aqueue.yaml:{message}", hint)


def test_how_gpus_are_given_away_can_be_said() -> None:
    rules = read(
        "gpus: {slots: 3, share_with_others: true, ignore_memory: 1GiB, ids: uuid, devices: [0, GPU-5d0c]}"
    ).gpus
    assert rules == Rules(
        slots=3, share_with_others=True, ignore_memory=1 << 30, by_uuid=True, devices=(0, "GPU-5d0c")
    )
    assert read("queues: {config: [{name: a, gpus: [1]}]}").queues["a"].gpus == (1,)


def test_a_heartbeat_that_would_never_rest_is_refused() -> None:
    assert error_in("heartbeat: {interval: 0.01}")[0].startswith("aqueue.yaml:1:23: heartbeat.interval: ")


@pytest.mark.parametrize("env", ["{A B: 1}", "{A=B: 1}", "{1A: 1}", "{AQUEUE_ID: 1}", '{A: "x\\0"}'])
def test_what_cannot_be_in_an_environment_cannot_be_a_default_for_it(env: str) -> None:
    assert error_in(f"defaults:\n  env: {env}")[0].startswith("aqueue.yaml:2:")


@pytest.mark.parametrize("env", ["hunter2", "[A=hunter2]", "{A: [hunter2]}", "{A: {hunter2: 1}}", "{A=hunter2}"])
def test_no_error_shows_a_value_of_the_environment(env: str) -> None:
    message, hint = error_in(f"defaults: {{env: {env}}}")
    assert "hunter2" not in message + hint


def test_a_folder_without_a_configuration_is_served_with_the_defaults(tmp_path: Path) -> None:
    assert load(Folder(tmp_path), {}).config == Config()


def test_the_configuration_is_read_from_the_folder(tmp_path: Path) -> None:
    (tmp_path / "aqueue.yaml").write_bytes(b"\xef\xbb\xbfjobs: 7\n")
    assert load(Folder(tmp_path), {}).config.jobs == 7


def test_an_error_calls_the_file_by_a_path_from_where_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "queue").mkdir()
    (tmp_path / "queue" / "aqueue.yaml").write_text("jobs: 0")
    with pytest.raises(FileError, match=r"^queue/aqueue\.yaml:1:7: jobs: "):
        load(Folder(tmp_path / "queue"), {})


def test_a_configuration_that_is_no_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "aqueue.yaml").mkdir()
    with pytest.raises(FileError, match=r"aqueue\.yaml: is not a regular file$"):
        load(Folder(tmp_path), {})


def test_a_configuration_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "aqueue.yaml").symlink_to("aqueue.yaml")
    with pytest.raises(FileError, match="cannot be read: "):
        load(Folder(tmp_path), {})


@pytest.mark.parametrize("content", [b"jobs: \xff", b"#" * ((1 << 20) + 1)])
def test_a_configuration_of_the_wrong_kind_is_an_error(content: bytes) -> None:
    with pytest.raises(FileError):
        parse(content, "aqueue.yaml")


def test_tasks_get_what_the_configuration_says_they_get() -> None:
    configured = Config(
        env={"A": "1"}, timeout=60.0, retries=Retries(limit=2), log_limit=1 << 20, timezone="Asia/Tokyo"
    )
    assert configured.task_defaults(name="n", queue="q", working_dir="/w", base="/b") == Defaults(
        name="n",
        queue="q",
        working_dir="/w",
        base="/b",
        env={"A": "1"},
        timeout=60.0,
        retries=Retries(limit=2),
        log_limit=1 << 20,
        timezone="Asia/Tokyo",
        targets=(),
    )
