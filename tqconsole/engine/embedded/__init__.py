"""The SQLite store behind the default broker: one file, no daemon, a doorbell instead of polling.

It knows SQLite, files and sockets, and the values of `protocol/`; it knows no task and no adapter.
"""
