"""What a site keeps of vendors that lie: two histories, and signatures that contradict each other.

The rules are :mod:`strategies.protocol.equivocation`.
"""
