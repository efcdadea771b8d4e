"""Every figure of docs/results.md: `make bench` measures them all."""
