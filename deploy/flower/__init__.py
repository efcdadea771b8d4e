"""Everything that knows Flower's inside: its programs, SuperNodes, the warm worker, the bundle.

It may import ``processes``; the pins say which version of Flower is expected.
"""
