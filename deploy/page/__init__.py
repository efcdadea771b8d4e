"""The page on which a site's operators watch it in a browser, and its figures for Prometheus.

It only reads the site's files, on loopback, and changes nothing.  Its program imports neither torch
nor Flower, so that it costs a site little: what it must know of them, :mod:`deploy.page.starting`
writes into its configuration.  It may import ``deploy.site``, ``deploy.edge``,
``deploy.processes``, and ``deploy.identity``; ``views`` are pure.
"""
