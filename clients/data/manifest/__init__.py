"""The table of a site's own images, ``manifest.csv``: found once, checked, and divided for good."""
