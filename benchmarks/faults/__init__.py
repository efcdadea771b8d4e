"""Faults of real sites beyond killed programs, and who causes them in a run of terms."""
