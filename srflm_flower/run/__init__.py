"""A simulated run: its folder, its sites, and the code that conducts it from start to report.

It may import ``site``, ``report``, ``results``, ``privacy``, and ``federation``.
"""
