"""Private training: records drawn at random, by image or by patient.

It may import ``gradients``, ``ledger``, and ``accounting``.
"""
