"""Compare the cost of the agent with a Go agent: `python -m bench`, or `make bench`.

Each measurement runs the real agent, alternating with a peer in Go on the same machine, and yields
rows of one table. A row's ratio is the median over neighbouring runs, because absolute numbers on a
shared machine vary.
"""
