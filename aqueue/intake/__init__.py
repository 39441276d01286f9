"""From files in the folder to submissions in the store, each exactly once. Read `loop` and `inbox` first."""
