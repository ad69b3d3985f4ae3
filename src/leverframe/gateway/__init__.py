"""The surface that agents of any framework call: bytes become a call, credentials a principal, and answers bytes again.

Never: decides; that is the door's.
"""
