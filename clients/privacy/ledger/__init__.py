"""A site's record of the privacy that it has spent, and the site's policy that limits it.

It may import ``accounting`` and ``clients.files``.
"""
