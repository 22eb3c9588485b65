"""A second, independent computation of every number, written plainly from the definition book.

It reads the generator's own record of what happened (``World.lives``), never the connectors, the store or a frame,
and shares no code with ``metrics``: dictionaries, loops and ``Fraction`` only.
"""
