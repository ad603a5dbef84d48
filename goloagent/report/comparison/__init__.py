"""Comparison of runs: rank tests over repeated runs, and a bootstrap over the blocks of two."""
