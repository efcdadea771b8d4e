"""A site's logs for its operator, and scrubbed for support.

May import what :mod:`deploy.operating` may.  The scrubbing is pure: it keeps what is known to be
harmless, and no more.
"""
