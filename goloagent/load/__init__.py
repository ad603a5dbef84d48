"""Driving a load test: the RPC connection, and the calls of its simulated users."""
