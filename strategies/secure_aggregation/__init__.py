"""Secure aggregation: the server learns the sum of the clients' updates, but no single update.

The protocol is that of Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving
Machine Learning" (CCS 2017), with the consistency check of its section 6.2 against a server that
cheats.  It is for a small number of vendors that all know each other's Ed25519 keys.  In one
aggregation the server sends five requests to the clients, after they have trained::

    keys      two fresh X25519 keys and a commitment to the self-mask's seed, signed
    shares    of the seed and of the mask's private key, by Shamir, encrypted for each other client
    masked    the quantised update + self-mask ± a mask for every other client (mod 2³²)
    confirm   the set of clients that have sent their masked update, signed by each of them
    unmask    shares of the survivors' seeds, and of the mask keys of those that were lost

The threshold is a majority of the federation's clients (``aggregation.min-clients`` may raise it).
It is the number of clients that must take part to the end, the number of shares that recover a
secret, and the number of clients that must confirm the same set before any client helps to unmask.
``quantising``, ``masking``, ``sharing``, ``keys``, ``client``, and ``server`` are pure; the site
of ``srflm_flower`` keeps a client's notes and answers the requests.

The protocol protects single updates against a server that sends arbitrary messages.  It also does
so if some of the C clients collude with the server, as long as they are fewer than
2 · threshold − C: so many would have to sign two different sets.  Vendors that pool their
knowledge learn the sum of the other vendors' updates, as with any sum.  Each server of one term
learns one sum, and two servers that pool their sums learn the difference.  The server cannot
inspect single updates: a vendor that sends a meaningless update spoils the mean, and a vendor that
signs a meaningless statement stops the term.
"""
