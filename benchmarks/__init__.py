"""Every figure that the README quotes: `make bench` measures them all."""
