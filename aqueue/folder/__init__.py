"""The folder on disk: its layout, who may change it, who holds which lock, and what has changed.

Read `layout` and `watch` first.
"""
