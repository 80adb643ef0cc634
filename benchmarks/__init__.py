"""Speed, measured and never asserted: `python -m benchmarks --help`, or `make bench` for a part.

`workloads` says what is measured, `peers/` how each queue is asked to do it, `rig` runs one
with processes of its own, `report` and `plot` draw what came out.
"""
