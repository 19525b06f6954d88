"""Benchmarks: each figure beside its baseline, as a ratio taken in one run on one machine."""
