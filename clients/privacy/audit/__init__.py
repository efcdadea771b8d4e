"""Attacks on private training: they can prove a leak, but never that there is none."""
