"""A distributed task queue with a terminal operations console on top."""

__version__ = "0.1.0"
