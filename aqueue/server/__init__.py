"""What serves: the loop, its cycle, who else serves, signals and idling. Read `server` and `dispatcher` first."""
