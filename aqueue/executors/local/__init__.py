"""Attempts as processes of this machine, which survive their server.

Read `executor`, `runner` and `wrapper` first.
"""
