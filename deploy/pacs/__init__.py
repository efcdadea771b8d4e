"""A site's own PACS, by DICOMweb: series are found, fetched into a folder, and results sent back.

``[pacs]`` in ``site.toml`` says where it is, ``credentials`` as whom the site speaks;
``connection`` is the one door to the network; ``search`` finds what a ``query`` asks for,
``pulling`` fetches it, ``storing`` sends results.  No text of the PACS is in any error or log:
names, numbers, and UIDs may lead to patients.  Nothing that answers messages imports this.  Imports
of this project ``strategies``, ``clients``, ``deploy.processes``, and settings of ``deploy.site``.
"""
