"""Go's net/rpc over gob, without I/O.

Bytes in, calls and replies out: `Client` and `Server` are the two ends of a connection, and
`ProtocolError` is what a peer's mistake raises.
"""

from goloagent.netrpc.conversation import Call, Client, Replies, Server
from goloagent.netrpc.gob import ProtocolError

__all__ = ["Call", "Client", "ProtocolError", "Replies", "Server"]
