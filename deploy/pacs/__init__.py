"""A site's own PACS, by DICOMweb: series are found, fetched into a folder, and results sent back.

``settings`` and ``credentials`` say where and as whom; ``connection`` is the one door to the
network; ``search`` finds what a ``query`` asks for, ``pulling`` fetches it, ``storing`` sends
results.  No text of the PACS is in any error or log: names, numbers, and UIDs may lead to patients.
Imports of this project ``strategies``, ``clients`` and ``deploy.processes``.
"""
