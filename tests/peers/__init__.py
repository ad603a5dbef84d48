"""Programs around the agent in the integration tests, all of them real."""
