"""A site as a client of secure aggregation: its answers, and its secrets of the open term."""
