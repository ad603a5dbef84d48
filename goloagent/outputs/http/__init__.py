"""The HTTP client of the outputs: connections, proxies, TLS and tokens."""
