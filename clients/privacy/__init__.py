"""Differential privacy of a vendor's records: what is promised, what is done, what was spent."""
