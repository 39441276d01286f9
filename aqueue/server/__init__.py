"""The server: its loop and cycle, slots, a timer, other servers, signals and idling.

Read `server` and `dispatcher` first.
"""
