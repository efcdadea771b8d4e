"""A stock Flower app, for comparison: ``FedAvg`` as Flower has it, over the same learners."""
