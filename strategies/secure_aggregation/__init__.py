"""Secure aggregation: the provisional server learns the sum of the clients' updates, no single one.

The protocol is that of Bonawitz et al., "Practical Secure Aggregation for Privacy-Preserving
Machine Learning" (CCS 2017), with the consistency check of its section 6.2 against a server that
cheats, for a few vendors whose Ed25519 keys all know.  One aggregation is five questions of the
server to the clients, after they have trained::

    keys      two fresh X25519 keys and a commitment to the self-mask's seed, signed
    shares    of the seed and of the mask's private key, by Shamir, encrypted for each other client
    masked    the quantised update + self-mask ± a mask for every other client (mod 2³²)
    confirm   the set of clients that have sent their masked update, signed by each of them
    unmask    shares of the survivors' seeds, and of the mask keys of those that were lost

The threshold is a majority of the federation's clients (``aggregation.min-clients`` may raise it):
so many must take part to the end, so many shares recover a secret, and so many must have confirmed
the same set before anybody helps to unmask.  ``quantising``, ``masking``, ``sharing``, ``keys``,
``client``, and ``server`` are pure; ``notes`` keeps a site's secrets of the open term, ``site``
answers messages.

It holds against a server that sends what it likes, alone; with some of the C clients on its side
as long as they are fewer than 2 · threshold − C (for them to sign two sets).  Vendors that pool
what they know learn the sum of the others, as with any sum.  Of the servers of one term each learns
one sum, and two that pool theirs learn the difference.  The server cannot look at single updates:
a vendor that sends nonsense spoils the mean, one that signs nonsense stops the term.
"""
