"""The web page: static files served from memory."""
