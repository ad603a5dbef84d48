"""Connections for HTTP clients: host names, proxies, TLS and tokens."""
