"""Worker threads, periodic tasks, and long computations that share the reactor thread.

Nothing here knows what golo-agent is: each module is a small tool around Twisted.
"""
