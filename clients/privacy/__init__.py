"""Differential privacy of a vendor's records: training, accounting, the ledger, and audits."""
