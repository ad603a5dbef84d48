"""Go's net/rpc over gob, without I/O.

Bytes in, calls and replies out: `Client` and `Server` are the two ends of a connection, and both
raise `ProtocolError` if the peer breaks the protocol.
"""

from goloagent.netrpc.client import Client, Replies
from goloagent.netrpc.gob import ProtocolError
from goloagent.netrpc.server import Call, Server

__all__ = ["Call", "Client", "ProtocolError", "Replies", "Server"]
