"""A run: prepared, watched and judged by the client."""
