"""Compare SRFLM with its baselines: same model, data, partition, and number of gradient steps."""
