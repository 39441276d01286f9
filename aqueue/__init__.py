"""aqueue: drop a YAML file into a folder and it runs."""

__version__ = "0.1.0"
