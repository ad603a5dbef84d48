"""``golo``: the client of agents, from a program to a verdict."""
