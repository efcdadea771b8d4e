"""A model package: what a site hands to those who must sign, and how it is verified again.  Pure.

A card, an RO-Crate, a bag (RFC 8493) around them, and a manifest that the site signs.  Files and
keys are read and written in ``deploy/site``.  It imports what comes before it in the package.
"""
