"""MONAI bundles: read a network's definition and its weights, and write a model as a bundle.

Nothing of a bundle is ever run, so MONAI's ``ConfigParser`` is not used for reading.  It may import
all other rooms of ``clients``.
"""
