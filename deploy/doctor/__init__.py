"""The doctor: is this site fit to take part, and if not, what mends it.

``looks`` gather facts from files, machine and network; ``rules`` judge facts, know neither, and
give lines; ``codes`` has every line that there is.  It may import all of ``deploy`` but ``cli``.
"""
