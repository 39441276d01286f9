"""Attempts as processes of this machine, which survive their server.

Only the composition of a server and `executors.outside` import from here.

Read `executor`, `runner` and `wrapper` first.
"""
