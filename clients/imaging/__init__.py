"""Readers of medical image formats, and how their values become a network's input.

Only here pydicom is imported, which is an optional extra. May import ``strategies`` and nothing
else of ``clients``.
"""
