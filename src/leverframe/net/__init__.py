"""The one HTTP client, behind one egress guard.  Adapters that speak HTTP use it and nothing else."""
