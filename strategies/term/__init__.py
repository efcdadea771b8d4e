"""One term as its server conducts it: opening, training, averaging, fine-tuning, committing.

It may import the protocol, the election, the aggregation, and secure aggregation.
"""
