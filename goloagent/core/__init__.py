"""Values and rules without I/O, shared by the agent and its clients: no Twisted, files or clock."""
