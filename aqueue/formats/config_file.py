"""The file `aqueue.yaml`, with overrides from the environment → configuration."""

import os
import stat
from collections.abc import Mapping
from typing import Final

import msgspec

from aqueue.errors import FileError, UsageError
from aqueue.folder import linked, trust
from aqueue.folder.layout import Folder, display_path
from aqueue.folder.settling import Settling
from aqueue.model.config import Config

MAX_BYTES: Final = 1 << 20
"""The largest size of a configuration in bytes, the same as for task files."""

ENABLED: Final = "AQUEUE_QUEUE_ENABLED"
"""The variable that enables or disables queues, overriding `aqueue.yaml`."""

_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


def read(folder: Folder, settling: Settling | None = None) -> bytes | None:
    """Return the content of the folder's `aqueue.yaml`; empty if there is none.

    Args:
        settling: detects whether somebody is still writing it; then the result is None.

    Raises:
        FileError: it cannot be read.
    """
    file = display_path(folder.config)
    try:
        descriptor = os.open(folder.config, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        if folder.config.is_symlink():
            raise FileError(file, 0, 0, *linked.why_no_file(str(folder.config))) from None
        return b""
    except OSError as error:
        raise FileError(file, 0, 0, f"cannot be read: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileError(file, 0, 0, *linked.why_no_file(str(folder.config)))
        if fault := trust.fault_of_configuration(str(folder.config), status):
            raise FileError(file, 0, 0, *fault)
        if settling is not None:
            seen = settling.see(str(folder.config), status)
            if not settling.is_settled(str(folder.config), file, descriptor, seen):
                return None
        return os.read(descriptor, MAX_BYTES + 1)
    finally:
        os.close(descriptor)


def parse(content: bytes, file: str) -> Config:
    """Parse a configuration; `file` is its name in errors.

    Raises:
        FileError: it has mistakes; the error lists all that can be found at once.
    """
    if not content:
        return Config()
    # Imported here because YAML is slow to import, and most folders have no configuration.
    from aqueue.formats import config_keys, yaml_text

    return config_keys.parse(yaml_text.decode(content, file), file)


def under(environment: Mapping[str, str], config: Config) -> Config:
    """Return the configuration with overrides from the environment.

    Raises:
        UsageError: the environment has an error.
    """
    written = environment.get(ENABLED)
    if not written:
        return config
    enabled = _WORDS.get(written.lower())
    if enabled is None:
        raise UsageError(f"{ENABLED}={written}: expected true or false", f"set it to one, or: unset {ENABLED}")
    return msgspec.structs.replace(config, disabled_by=None if enabled else f"{ENABLED}={written}")
