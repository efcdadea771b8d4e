"""What an operator does with a site: bring it up and down, see its status, order a run.

It may import every other room but the command line.
"""
