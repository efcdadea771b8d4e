"""What a site has spent, in a file that only grows; and the policy that limits it.

It may import ``accounting`` and ``clients.files``.
"""
