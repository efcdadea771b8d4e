"""Networks: those of this project, MONAI's by name, a trial run of each, and their weights.

It may import ``clients.privacy``, seeds and settings of ``clients``.
"""
