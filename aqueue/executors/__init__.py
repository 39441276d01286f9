"""The life of an attempt, whichever executor runs it. Read `base` first."""
