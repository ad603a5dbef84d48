"""Driving a load test: a driver starts the calls of an executor on an RPC client and times them.

Go's net/rpc pipelines calls on a connection and replies in any order, so a simulated user is a
sequence number and not a socket. `executor` holds the decision which calls start (`closed_loop`,
`arrival_rate`), `load_driver` the timer, `rpc_client` the connection, `connector` the attempts to
connect, `call_times` the measurement, and `generator_limits` whether it can be trusted.
"""
