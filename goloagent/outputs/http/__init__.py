"""The HTTP client of outputs: connections, proxies, TLS and tokens."""
