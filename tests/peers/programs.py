"""Load tests in Python that the tests upload, in parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import goloagent

# Makes a load test, like the fixtures `script` and `go_loadtest`.
Builder = Callable[..., Path]

CHECKOUT = Path(goloagent.__file__).parents[1]
# The fixture `script` begins with it.
IMPORTS = f"import os, signal, socket, sys, time\nsys.path.insert(0, {str(CHECKOUT)!r})\n"
ACCEPT = """
host, port = os.environ["GOLO_RPC_ADDR"].rsplit(":", 1)
connection, _ = socket.create_server((host, int(port))).accept()
"""
ANSWER_CALLS = """
from goloagent.netrpc import Server
server = Server()
while data := connection.recv(65536):
    for call in server.receive(data):
        connection.sendall(server.reply(call))
"""
