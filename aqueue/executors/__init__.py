"""An attempt's life, whoever runs it. Read `base` first."""
