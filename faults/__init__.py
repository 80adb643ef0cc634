"""Faults on purpose, and a ledger that tells what they cost. `python -m faults --help`."""
