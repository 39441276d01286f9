"""The command line. `command_line` has the verbs, each group of which has a file of its own; read it first."""
