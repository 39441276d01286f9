"""Everything that is remembered, in one SQLite database. Read `database` and `store` first."""
