"""From text to records: YAML that remembers positions, task files, the configuration.

Read `yaml_document` and `task_file` first.
"""
