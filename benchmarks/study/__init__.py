"""The study: all tasks × methods × seeds from one file, resumed where it stopped.

``python -m benchmarks.study``; pure rules in tasks.py and ranks.py, the rest at the edge.
"""
