"""Results as DICOM, beside the series from which they come: masks and restored images.

Results keep the patient and the study of their source, and so stay at the site.
"""
