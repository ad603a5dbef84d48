"""Agents: their addresses, how they are found, and their HTTP API."""
