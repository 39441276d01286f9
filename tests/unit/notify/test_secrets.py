"""Secrets take the place of `${NAME}`, and appear in no error."""

from pathlib import Path

import pytest

from aqueue.model.notification import Kind, Target
from aqueue.notify.errors import DeliveryError
from aqueue.notify.secrets import Secrets


def target(address: str | tuple[str, ...], kind: Kind = Kind.NTFY, **options: str) -> Target:
    return Target(name="a", kind=kind, address=address, options=options)


def test_placeholders_are_variables_and_files(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    secrets = Secrets({"TOPIC": "sesame"}, str(tmp_path))
    filled = secrets.fill_in(target("https://x/${TOPIC}/$${TOPIC}/$TOPIC", token="${file:token}"))
    assert filled.address == "https://x/sesame/${TOPIC}/$TOPIC"
    assert filled.options == {"token": "from-file"}
    assert secrets.take_out("sesame and from-file") == "*** and ***"


def test_a_command_keeps_its_text() -> None:
    assert Secrets({"A": "b"}, "/").fill_in(target("echo ${A}", Kind.COMMAND)).address == "echo ${A}"


@pytest.mark.parametrize("written", ["${NOPE}", "${EMPTY}", "${file:nope}", "${file:binary}"])
def test_a_missing_secret_is_an_error_that_names_it(tmp_path: Path, written: str) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(DeliveryError, match=written.strip("${}").removeprefix("file:")):
        Secrets({"EMPTY": ""}, str(tmp_path)).fill_in(target(written))
