"""A deployed site: its settings, its folder, the messages that it logs, what it can show.

It may import ``srflm_flower`` and ``deploy.processes``; code here can answer messages.
"""
