"""Readers of medical image formats, and how their values become a network's input.

Only here pydicom, highdicom, and nibabel are imported, which are an optional extra. May import
``strategies`` and nothing else of ``clients``.  :func:`clients.imaging.reading.read_volume` is the
entry to all readers, :func:`clients.imaging.index.find_series` finds what can be read in a folder.
"""
