"""The configuration in force, with a real file that people save in every way there is."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from aqueue.errors import FileError, UsageError
from aqueue.folder.layout import Folder
from aqueue.formats import config_file, config_for_add, last_good_config
from aqueue.intake.config_reload import ConfigReload
from aqueue.model.config import Config
from aqueue.model.events import Event, Notice
from tests.integration.conftest import as_user
from tests.waiting import eventually

BAD = "jbos: 4\n"
GOOD = "jobs: 4\n"
OLD_NAME = "queues: {config: [{name: lane, max_active_runs: 2}]}\n"


class Held:
    """Settings whose file first said `jobs: 2`, and all that they reported."""

    def __init__(self, folder: Folder, environment: dict[str, str], text: str = "jobs: 2\n") -> None:
        self.file = folder.config
        self.file.write_text(text)
        self.reported: list[Event] = []
        self.settings = ConfigReload(folder, environment, self._report)

    def _report(self, *events: Event) -> None:
        self.reported += events

    @property
    def said(self) -> list[str]:
        return [event.text for event in self.reported if isinstance(event, Notice)]

    @property
    def jobs(self) -> int:
        return self.settings.config.jobs

    def settle(self) -> bool:
        """Look as often as it asks for; returns whether another configuration came of it."""
        changed = self.settings.reload()

        def is_settled() -> bool:
            nonlocal changed
            if self.settings.next_check is None:
                return True
            changed = self.settings.reload() or changed
            return self.settings.next_check is None

        eventually(is_settled, 5)
        return changed


@pytest.fixture
def held(folder: Folder) -> Held:
    return Held(folder, {})


def test_a_good_edit_is_in_force_at_the_first_look(held: Held) -> None:
    held.file.write_text(GOOD)
    assert held.settings.reload()
    assert (held.jobs, held.settings.next_check, held.said) == (4, None, [])


def test_the_same_content_and_the_same_meaning_are_no_change(held: Held) -> None:
    for text in ("jobs: 2\n", "# two\njobs: 2\n", '"jobs": 2'):
        held.file.write_text(text)
        assert not held.settle()
    assert (held.jobs, held.said) == (2, [])


@pytest.mark.parametrize("text", ["", " \n", None], ids=["empty", "blank", "gone"])
def test_what_is_empty_or_gone_is_in_force_only_when_it_stays_so(held: Held, text: str | None) -> None:
    held.file.unlink() if text is None else held.file.write_text(text)
    assert not held.settings.reload()
    assert (held.jobs, held.settings.next_check is None) == (2, False)
    assert held.settle()
    assert (held.jobs, held.said) == (1, [])


@pytest.mark.parametrize("text", ["", BAD, None], ids=["empty", "bad", "gone"])
def test_what_turns_out_well_at_the_second_look_was_never_a_mistake(held: Held, text: str | None) -> None:
    held.file.unlink() if text is None else held.file.write_text(text)
    assert not held.settings.reload()
    held.file.write_text(GOOD)
    assert held.settle()
    assert (held.jobs, held.said) == (4, [])


def test_each_doubt_has_a_second_look_of_its_own(held: Held) -> None:
    for good, jobs in ((GOOD, 4), ("jobs: 5\n", 5)):
        held.file.write_text("")
        assert not held.settings.reload()
        assert held.settings.next_check is not None
        held.file.write_text(good)
        assert held.settle()
        assert held.jobs == jobs


def test_a_bad_edit_is_reported_once_with_its_place_until_it_is_another(held: Held) -> None:
    held.file.write_text(BAD)
    for _ in range(3):
        assert not held.settle()
    (complaint,) = held.said
    assert ":1:1: unknown key 'jbos'; did you mean 'jobs'?; the configuration stays as it was" in complaint
    assert str(os.path.relpath(held.file)) in complaint
    held.file.write_text("jobs: none\n")
    assert not held.settle()
    assert ":1:7: jobs: expected" in held.said[1]
    assert (held.jobs, len(held.said)) == (2, 2)


def test_all_mistakes_of_an_edit_are_reported(held: Held) -> None:
    held.file.write_text("jbos: 4\ngrace: soon\n")
    assert not held.settle()
    first, second = held.said
    assert "aqueue.yaml:1:1: unknown key 'jbos'; did you mean 'jobs'?" in first
    assert "aqueue.yaml:2:8: grace: expected" in second
    assert second.endswith("; the configuration stays as it was")


@pytest.mark.parametrize("between", ["jobs: 2\n", GOOD], ids=["undone", "mended"])
def test_a_bad_edit_that_was_undone_or_mended_and_made_again_is_reported_again(held: Held, between: str) -> None:
    for text in (BAD, between, BAD):
        held.file.write_text(text)
        held.settle()
    assert len(held.said) == 2


def test_a_file_that_is_being_written_is_looked_at_again_until_it_is_closed(held: Held) -> None:
    with held.file.open("w") as file:
        file.write(BAD)
        file.flush()
        for _ in range(3):
            assert not held.settings.reload()
            assert held.settings.next_check is not None
        file.seek(0)
        file.write(GOOD)
    assert held.settle()
    assert (held.jobs, held.said) == (4, [])


def test_a_writer_is_not_kept_waiting_by_a_look(held: Held) -> None:
    held.settings.reload()
    descriptor = os.open(held.file, os.O_WRONLY | os.O_NONBLOCK)
    os.close(descriptor)


@as_user
def test_a_file_that_cannot_be_read_is_reported_once_and_the_old_one_stays(held: Held) -> None:
    held.file.chmod(0)
    for _ in range(2):
        assert not held.settle()
    assert held.said == [
        f"{os.path.relpath(held.file)} cannot be read: Permission denied; the configuration stays as it was"
    ]
    held.file.chmod(0o600)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def a_loop(path: Path) -> None:
    path.symlink_to(path)


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, a_loop], ids=["directory", "fifo", "loop"])
def test_what_is_no_regular_file_is_reported_and_leaves_nothing_open(
    held: Held, make: Callable[[Path], None]
) -> None:
    held.file.unlink()
    make(held.file)
    before = open_files()
    for _ in range(3):
        assert not held.settle()
    assert (held.jobs, len(held.said)) == (2, 1)
    assert open_files() == before


def test_a_link_that_leads_nowhere_is_reported_and_the_old_one_stays(held: Held) -> None:
    held.file.unlink()
    held.file.symlink_to("nowhere.yaml")
    for _ in range(2):
        assert not held.settle()
    (complaint,) = held.said
    assert "aqueue.yaml: is a symbolic link to nowhere.yaml, which does not exist; point it at a file" in complaint
    assert held.jobs == 2


def test_too_large_and_not_utf_8_are_reported_as_mistakes(held: Held) -> None:
    for content in (b"# " + b"x" * (2 << 20), b"jobs: 4 # \xff\n"):
        held.file.write_bytes(content)
        assert not held.settle()
    assert len(held.said) == 2
    assert held.jobs == 2


def test_a_warning_is_given_at_the_start_and_once_for_each_edit_that_has_it(folder: Folder) -> None:
    held = Held(folder, {}, OLD_NAME)
    assert len(held.said) == 1
    assert "max_active_runs is the old name of max_concurrency" in held.said[0]
    held.settle()
    assert len(held.said) == 1
    held.file.write_text(OLD_NAME.replace("2}", "3}"))
    held.settle()
    assert len(held.said) == 2


def test_the_environment_stays_over_every_edit(folder: Folder) -> None:
    held = Held(folder, {"AQUEUE_QUEUE_ENABLED": "off"})
    assert held.settings.config.disabled_by == "AQUEUE_QUEUE_ENABLED=off"
    held.file.write_text("queues: {enabled: true}\n")
    assert held.settle()
    assert held.settings.config.disabled_by == "AQUEUE_QUEUE_ENABLED=off"


LAST_GOOD = "the last good configuration is in force"


@pytest.fixture
def bad_after_good(held: Held) -> Held:
    """Settings of a server that has the last good configuration in force."""
    held.file.write_text(GOOD)
    held.settle()
    held.file.write_text(BAD)
    held.settle()
    return held


def test_a_server_that_starts_on_a_bad_edit_has_the_last_good_one_in_force_and_says_so_once(
    folder: Folder, bad_after_good: Held
) -> None:
    held = Held(folder, {}, BAD)
    for _ in range(2):
        assert not held.settle()
    (complaint,) = held.said
    assert "aqueue.yaml:1:1: unknown key 'jbos'" in complaint
    assert complaint.startswith(f"{LAST_GOOD}: ")
    assert held.jobs == bad_after_good.jobs == 4
    held.file.write_text("jobs: 5\n")
    assert held.settle()
    assert (held.jobs, len(held.said)) == (5, 1)


def test_what_is_in_force_in_a_server_is_what_a_command_finds_too(folder: Folder, bad_after_good: Held) -> None:
    loaded = last_good_config.load(folder, {})
    assert loaded.config == bad_after_good.settings.config
    assert len(loaded.complaints()) == 1


def test_the_last_good_one_is_for_its_owner_alone_and_the_environment_stays_over_it(
    folder: Folder, bad_after_good: Held
) -> None:
    assert stat.S_IMODE(folder.last_good.stat().st_mode) == 0o600
    assert (
        last_good_config.load(folder, {"AQUEUE_QUEUE_ENABLED": "off"}).config.disabled_by
        == "AQUEUE_QUEUE_ENABLED=off"
    )
    assert bad_after_good.jobs == 4


def test_what_add_needs_is_for_its_owner_alone_and_has_no_overrides(folder: Folder) -> None:
    held = Held(folder, {"AQUEUE_QUEUE_ENABLED": "off"}, "")
    for text in (GOOD, "defaults: {timeout: 1h}\n"):
        held.file.write_text(text)
        held.settle()
        saved = folder.config_for_add.read_bytes()
        assert saved == config_for_add.as_json(text.encode(), config_file.parse(text.encode(), "aqueue.yaml"))
    assert stat.S_IMODE(folder.config_for_add.stat().st_mode) == 0o600
    folder.config_for_add.unlink()
    held.settle()
    assert folder.config_for_add.read_bytes() == saved


def test_what_a_command_found_good_without_a_server_is_the_last_good_one(folder: Folder) -> None:
    for text in (GOOD, "jobs: 5\n", BAD):
        folder.config.write_text(text)
        loaded = last_good_config.load(folder, {})
    assert (loaded.config.jobs, loaded.error is None) == (5, False)


def test_a_command_does_not_forget_the_last_good_one_while_an_editor_has_emptied_the_file(folder: Folder) -> None:
    for text in (GOOD, "", BAD):
        folder.config.write_text(text)
        loaded = last_good_config.load(folder, {})
    assert loaded.config.jobs == 4


def test_where_the_last_good_one_is_that_there_was_none_commands_go_on_but_no_server_starts(
    folder: Folder,
) -> None:
    held = Held(folder, {}, "")
    held.file.write_text(BAD)
    assert not held.settle()
    assert last_good_config.load(folder, {}).config == held.settings.config == Config()
    with pytest.raises(FileError, match="unknown key 'jbos'"):
        Held(folder, {}, BAD)


def test_a_removed_configuration_is_not_the_last_good_one_any_more(folder: Folder, held: Held) -> None:
    held.file.unlink()
    assert held.settle()
    held.file.write_text(BAD)
    assert last_good_config.load(folder, {}).config == Config()


@pytest.mark.parametrize("kept", ["jbos: 1\n", None])
def test_a_last_good_one_that_cannot_be_read_any_more_is_none(folder: Folder, kept: str | None) -> None:
    folder.config.write_text(GOOD)
    last_good_config.load(folder, {})
    folder.last_good.unlink() if kept is None else folder.last_good.write_text(kept)
    folder.config.write_text(BAD)
    with pytest.raises(FileError, match="unknown key 'jbos'"):
        last_good_config.load(folder, {})


def test_a_bad_configuration_or_environment_is_an_error_at_the_start(folder: Folder) -> None:
    with pytest.raises(FileError, match="unknown key 'jbos'"):
        Held(folder, {}, BAD)
    with pytest.raises(UsageError, match="AQUEUE_QUEUE_ENABLED=maybe: expected true or false"):
        Held(folder, {"AQUEUE_QUEUE_ENABLED": "maybe"})
