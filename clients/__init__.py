"""All that touches a vendor's data: reading it, training on it, evaluating, and privacy."""
