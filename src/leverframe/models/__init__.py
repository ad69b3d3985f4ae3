"""Model vendors and their stand-ins, behind one port.  Imported by `wiring` only."""
