import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aqueue.client.systemd_unit import quoted, text
from aqueue.errors import FolderError
from aqueue.model.server import OnStop


def unit(command: list[str], directory: str = "/srv", on_stop: OnStop = OnStop.LEAVE) -> dict[str, str]:
    """Return the settings of a unit; of several with one name, the last."""
    lines = text("aqueue.service", "/srv/queue", directory, command, {"PATH": "/bin"}, on_stop).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def words(line: str) -> Iterator[str]:
    """Yield the words of a line as systemd.syntax(7) says: quotes, backslashes, and `%%` for `%`."""
    for found in re.finditer(r'"((?:[^"\\]|\\.)*)"|(\S+)', line):
        word = found[2] if found[1] is None else re.sub(r"\\(.)", r"\1", found[1])
        yield word.replace("%%", "%")


@given(
    st.lists(
        st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["C", "Z"])), min_size=1
    )
)
def test_systemd_reads_the_words_that_were_quoted(given_words: list[str]) -> None:
    assert list(words(" ".join(map(quoted, given_words)))) == given_words


def test_a_dollar_sign_in_a_path_is_no_variable() -> None:
    assert unit(["/bin/python", "serve"])["ExecStart"] == "/bin/python serve"
    assert unit(["/bin/python", "/my $HOME"])["ExecStart"] == ':/bin/python "/my $HOME"'


def test_a_percent_sign_is_no_specifier() -> None:
    settings = unit(["/bin/python", "/50%h"], directory="/100%u done")
    assert (settings["ExecStart"], settings["WorkingDirectory"]) == ("/bin/python /50%%h", "/100%%u done")


@pytest.mark.parametrize(("on_stop", "seconds"), [("leave", "90"), ("drain", "infinity"), ("kill", "infinity")])
def test_a_server_that_waits_for_its_runs_may_take_its_time(on_stop: str, seconds: str) -> None:
    assert unit(["/bin/python"], on_stop=OnStop(on_stop))["TimeoutStopSec"] == seconds


@pytest.mark.parametrize("directory", ["/a\nExecStartPost=/bin/evil", "/a\t", "/a ", "/a\\", "/\udcff"])
def test_a_path_that_would_be_read_otherwise_is_refused(directory: str) -> None:
    with pytest.raises(FolderError, match="a systemd unit cannot have"):
        unit(["/bin/python"], directory)


@pytest.mark.parametrize("program", ["/it's/python", '/"a"/python', "/a\\b/python"])
def test_a_program_that_systemd_would_not_start_is_refused(program: str) -> None:
    with pytest.raises(FolderError, match="a systemd unit cannot have"):
        unit([program])
