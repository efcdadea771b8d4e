"""Frozen features of images, which nothing trains and nothing sends, under a trained head.

It may import shapes and agreed files of ``clients.networks``, and settings of ``clients``.
"""
