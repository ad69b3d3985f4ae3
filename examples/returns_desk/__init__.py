"""The returns desk: the retail shop of tau2-bench, worked by agents that go through Leverframe."""
