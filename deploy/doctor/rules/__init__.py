"""The rules: from facts to lines.  They open no file, no socket, and read no clock.

A rule's file is named by what its facts are about.
"""
