"""Values and rules that the agent and its clients share: without Twisted, I/O and clock."""
