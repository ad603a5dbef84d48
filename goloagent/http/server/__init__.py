"""Connections and requests: deadlines, limits, and HTTP/1.1 framing."""
