"""All stored state, in one SQLite database. Read `database` and `store` first."""
