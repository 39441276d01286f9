"""The command line. Each file has a group of commands; read `command_line` first."""
