"""A deployed site: its settings, its folder, the messages that it logs, what it can show.

It may import ``srflm_flower``, ``deploy.processes``, and ``deploy.door``; its code can answer
messages.
"""
