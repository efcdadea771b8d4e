"""Files that survive a crash: durable writes, locks, checkpoints, logs of JSON lines; templates.

It may import only the errors of ``strategies``.
"""
