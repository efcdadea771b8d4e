"""Measure the figures of docs/results.md; `make bench` runs all benchmarks."""
