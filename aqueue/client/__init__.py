"""The client: all that a person or a program can ask and do. Read `session` first."""
