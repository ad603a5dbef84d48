"""golo-agent: a daemon that turns any executable into a load test."""

VERSION = "0.2.0"
