"""Attacks on private training, to refute what is claimed: they can prove a leak, never privacy."""
