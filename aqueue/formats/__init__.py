"""From text to records: YAML that remembers positions, task files, the configuration.

Read `task_keys` and `task_file` first.
"""
