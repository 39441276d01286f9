"""Ways to write plain values, of which many are not the way of Python."""

from typing import Final

SPELLINGS: Final = [
    "1.20", "3.10", "5319e70", "0755", "007", "+5", "-0", "1_000", "0x1F", "0o17", "1e3", "1E3", ".5", "1.", "1.0",
    "12e999", "true", "True", "TRUE", "yes", "on", "No", "off", "null", "Null", "~", "", ".inf", "-.inf", ".nan",
    "2026-12-24", "2026-12-24T18:00:00Z", "1:30", "190:20:30", "9" * 30, "0.30000000000000004", "1e-05", "-1.50",
]  # fmt: skip
