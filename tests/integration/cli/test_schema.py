import json
from pathlib import Path

import pytest

from aqueue.cli.command_line import run
from aqueue.formats import json_schema


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AQUEUE_DIR", raising=False)


def test_init_writes_both_schemas_for_this_user_alone(tmp_path: Path) -> None:
    assert run(["init"]) == 0
    for kind, schema in (("task", json_schema.task()), ("config", json_schema.config())):
        file = tmp_path / f"queue/.aqueue/{kind}.schema.json"
        assert json.loads(file.read_text()) == schema
        assert file.stat().st_mode & 0o777 == 0o600


def test_a_schema_is_printed_where_there_is_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema.task()
    assert run(["schema", "config"]) == 0
    assert json.loads(capsys.readouterr().out) == json_schema.config()


def test_settings_for_vscode_name_schemas_that_are_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(["init"])
    schemas = {kind: tmp_path / f"queue/.aqueue/{kind}.schema.json" for kind in ("task", "config")}
    schemas["task"].write_text("of an older version")
    capsys.readouterr()
    assert run(["schema", "--vscode"]) == 0
    settings = json.loads(capsys.readouterr().out)
    assert settings == {
        "yaml.schemas": {
            "./queue/.aqueue/task.schema.json": ["queue/**/*.yaml", "queue/**/*.yml", "!queue/aqueue.yaml"],
            "./queue/.aqueue/config.schema.json": ["queue/aqueue.yaml"],
        }
    }
    assert json.loads(schemas["task"].read_text()) == json_schema.task()


def test_paths_for_vscode_are_absolute_from_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(["init"])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    capsys.readouterr()
    assert run(["schema", "--vscode"]) == 0
    assert f"{tmp_path}/queue/.aqueue/task.schema.json" in json.loads(capsys.readouterr().out)["yaml.schemas"]


def test_the_settings_are_for_both_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["schema", "task", "--vscode"]) == 2
    assert "--vscode is for both kinds" in capsys.readouterr().err
