"""How runs of each kind advance: the loops that ask the door, one step after another.

A loop is re-run from the start after a crash; what the journal has is answered from it.
"""
