"""A stock Flower app for comparison: Flower's own ``FedAvg`` over the same learners."""
