"""An attempt's life, whoever runs it. Read `attempt_files` first."""
