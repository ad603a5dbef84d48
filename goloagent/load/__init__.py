"""Driving a load test: an executor decides how many calls start, an RPC client makes them.

Go's net/rpc pipelines calls on a connection and replies in any order, so a simulated user is a
sequence number and not a socket. `executor` holds the decision, `rpc_client` the connection and
the counts, `connector` the attempts to connect.
"""
