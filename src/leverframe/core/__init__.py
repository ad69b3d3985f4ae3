"""Pure functions on frozen data: policy, budgets, labels, canonical JSON.  No I/O, no clock, no randomness."""
