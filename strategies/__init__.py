"""The algorithms: the server-rotating strategy, election, aggregation, and the baselines."""
