"""Delivery under faults, by real processes: what `make chaos` runs, and in a short edition
tests/test_chaos.py. What is promised and which part shows it is in docs/proof.md."""
