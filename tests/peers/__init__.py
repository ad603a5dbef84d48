"""What stands around the agent in the integration tests, all of it real."""
