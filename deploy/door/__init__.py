"""The door of a site: how its edge is asked what it answers by itself, without Flower.

It may import only ``clients.files`` and errors.
"""
