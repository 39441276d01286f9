"""The content of `aqueue.yaml`, with overrides from the environment → configuration."""

from collections.abc import Mapping
from typing import Final

import msgspec

from aqueue.errors import UsageError
from aqueue.model.config import Config

ENABLED: Final = "AQUEUE_QUEUE_ENABLED"
"""The variable that enables or disables queues, overriding `aqueue.yaml`."""

_WORDS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


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
