"""What the agent needs of the machine it is on, and what it tells it."""
