"""Frozen records, and which state of a run may follow which; no I/O. Read `run` and `task` first."""
