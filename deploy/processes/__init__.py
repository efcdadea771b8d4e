"""Processes of a machine: families that end together, restarts, bells, configurations, ports.

It may import only ``clients.files`` and errors.
"""
