"""The vendors of the federation: their data, models and training."""
