"""The folder on disk: its layout, permissions, locks and changes.

Read `layout` and `watch` first.
"""
