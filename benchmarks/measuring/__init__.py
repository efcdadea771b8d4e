"""What the benchmarks measure with, and the sections of the results that they print."""
