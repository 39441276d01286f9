"""Code as it was when a run was queued, and the checkout that the run has of it.

Read `snapshot`, `pins` and `checkout` first.
"""
