"""A machine with NVIDIA cards, for tests: the library that the real one's callers load, and what it says."""
