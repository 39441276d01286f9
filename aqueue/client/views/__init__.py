"""JSON for scripts, made of records: of every command, and nowhere else. Read `runs` first."""
