"""What the agent costs, beside the Go agent it replaces: `python -m bench`, or `make bench`.

Each measurement runs the real agent and, in turn with it, a peer in Go on the same machine, and
gives rows for one table. Absolute figures on a shared machine mean little; the ratio of two
neighbouring runs says more, and the median of several such ratios is what a row shows.
"""
