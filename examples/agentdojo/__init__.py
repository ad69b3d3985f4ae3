"""AgentDojo: two desks whose agent is taken over, behind Leverframe's door."""
