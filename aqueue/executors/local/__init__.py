"""Attempts as processes of this machine, which survive their server. Read `runner` and `wrapper` first."""
