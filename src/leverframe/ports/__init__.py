"""What runtime needs of the world, as Protocols in domain words; each docstring states the contract."""
