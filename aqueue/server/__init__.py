"""What serves: the loop, its cycle, slots, a timer, who else serves, signals and idling.

Read `server` and `dispatcher` first.
"""
