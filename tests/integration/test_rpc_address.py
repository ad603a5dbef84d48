"""Every accepted host of --rpc is an address at which a load test can listen."""

from __future__ import annotations

import socket

import pytest

from goloagent.host.rpc_address import check_rpc_host
from goloagent.host.startup_error import StartupError
from goloagent.settings import rpc_address


@pytest.mark.parametrize("text", ["127.0.0.1:1", "127.8.9.1:1", "[::1]:1", "localhost:1"])
def test_an_address_of_this_host(text: str) -> None:
    """Each is bound, as by a load test."""
    host, _ = rpc_address(text)
    check_rpc_host(host)


def test_the_name_of_this_host() -> None:
    """A name is checked by its addresses."""
    name = socket.gethostname()
    try:
        socket.getaddrinfo(name, 0)
    except OSError as error:
        pytest.skip(f"the name of this host, {name}, has no address here: {error}")
    check_rpc_host(name)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("192.0.2.1:9999", "192.0.2.1 is not an address of this host"),
        ("[2001:db8::1]:9999", "2001:db8::1 is not an address of this host"),
    ],
)
def test_no_address_of_this_host(text: str, says: str) -> None:
    """One sentence names the option."""
    host, _ = rpc_address(text)
    with pytest.raises(StartupError, match=r"^--rpc: ") as wrong:
        check_rpc_host(host)
    assert says in str(wrong.value)


@pytest.mark.parametrize(("error", "refused"), [("EAI_NONAME", True), ("EAI_AGAIN", False)])
def test_a_name_without_an_address(
    monkeypatch: pytest.MonkeyPatch, error: str, refused: bool
) -> None:
    """An unknown name is refused; one that cannot be resolved now is retried later."""

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(getattr(socket, error), "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    if refused:
        with pytest.raises(StartupError, match=r"^--rpc: nowhere cannot be resolved"):
            check_rpc_host("nowhere")
    else:
        check_rpc_host("nowhere")
