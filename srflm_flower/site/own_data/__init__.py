"""The work on the vendor's own data: training, evaluation, and the personalised model."""
