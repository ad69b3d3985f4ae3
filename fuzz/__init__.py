"""Fuzzing of every parser in a time box.

Knows: which parsers read bytes of others, samples of what they read, and which errors they may answer with.
Never: part of what users install; `make fuzz` runs it, and tests/property/test_fuzz.py a little of it every time.
"""
