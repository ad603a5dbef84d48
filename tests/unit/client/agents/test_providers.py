"""Providers: the addresses of agents from a name, a variable, a file, a command or themselves."""

from __future__ import annotations

from pathlib import Path

import pytest

from goloagent.client.agents import digitalocean, providers
from goloagent.client.agents.digitalocean import Droplet, Network, Networks
from goloagent.client.errors import ClientError
from goloagent.client.exit_codes import ExitCode

LIST = """# the fleet
host-1
  [2001:db8::1]:9000   # the second
https://agent.example/golo

host-1:8081
unix:/run/golo.sock
"""
PARSED = [
    "host-1:8081",
    "[2001:db8::1]:9000",
    "https://agent.example/golo",
    "unix:/run/golo.sock",
]


def found(provider: str, **environ: str) -> list[str]:
    """Return the addresses as text."""
    return [str(address) for address in providers.find(provider, "agent", environ)]


def refused(provider: str, **environ: str) -> str:
    """Return the sentence of an error."""
    with pytest.raises(ClientError) as raised:
        found(provider, **environ)
    assert raised.value.exit_code == ExitCode.INVALID
    return str(raised.value)


@pytest.mark.parametrize(
    ("provider", "environ", "addresses"),
    [
        ("localhost", {}, ["localhost:8081"]),
        ("env", {"GOLO_HOSTS": "a, b:9000,,a:8081,[::1]"}, ["a:8081", "b:9000", "[::1]:8081"]),
        ("host-1", {}, ["host-1:8081"]),
        ("10.0.0.1:9000", {}, ["10.0.0.1:9000"]),
        ("[2001:db8::1]:9000", {}, ["[2001:db8::1]:9000"]),
        ("http://host-1", {}, ["host-1:80"]),
        ("https://agent.example", {}, ["https://agent.example"]),
        ("unix:/run/golo.sock", {}, ["unix:/run/golo.sock"]),
        ("host-1,host-2", {}, ["host-1:8081", "host-2:8081"]),
    ],
)
def test_what_is_found(provider: str, environ: dict[str, str], addresses: list[str]) -> None:
    """Addresses have the default port, keep their order, and are there once."""
    assert found(provider, **environ) == addresses


def test_a_file(tmp_path: Path) -> None:
    """It has an address a line, blank lines and comments."""
    path = tmp_path / "agents"
    path.write_text(LIST)
    assert found(f"file:{path}") == PARSED


@pytest.mark.parametrize(
    ("provider", "environ", "sentence"),
    [
        ("env", {}, "no agents in $GOLO_HOSTS; set GOLO_HOSTS to addresses, separated by commas"),
        ("env", {"GOLO_HOSTS": "a,2001:db8::1"}, '"2001:db8::1" is not the address of an agent'),
        ("digitalocean", {}, "set DO_TOKEN to a token"),
        ("digitalocean", {"DO_TOKEN": "a\nb"}, "set DO_TOKEN to a token"),
        (
            "digitalocean",
            {"DO_TOKEN": "a", "DIGITALOCEAN_API_URL": "ftp://a"},
            "DIGITALOCEAN_API_URL: not an http:// or https:// URL with a host; set it to a URL",
        ),
        ("file:/nonexistent", {}, "cannot read the agents of file:/nonexistent: No such file"),
        ("file:/dev/null", {}, "no agents in /dev/null; a provider is localhost, env"),
        ("exec:", {}, "exec: needs a command"),
        ("file:/dev/zero", {}, "has more than 1048576 bytes"),
        (",".join(f"host-{n}" for n in range(10_001)), {}, "has 10001 agents; use at most 10000"),
        ("nomad:job", {}, 'provider "nomad:job": "nomad:job" is not the address of an agent'),
        ("", {}, 'no agents in provider ""'),
    ],
)
def test_errors_are_one_sentence(provider: str, environ: dict[str, str], sentence: str) -> None:
    """It says what is wrong and what to write."""
    message = refused(provider, **environ)
    assert sentence in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("networks", "host"),
    [
        (Networks(), None),
        (Networks(v4=[Network("10.0.0.1", "private"), Network("203.0.113.7")]), "203.0.113.7"),
        (Networks(v4=[Network("10.0.0.1", "private")]), "10.0.0.1"),
        (Networks(v4=[Network("203.0.113.7")], v6=[Network("2001:db8::1")]), "2001:db8::1"),
    ],
)
def test_the_address_of_a_droplet(networks: Networks, host: str | None) -> None:
    """The first IPv6 address comes first, then a public IPv4 address."""
    assert Droplet(networks).host() == host


def test_the_addresses_of_droplets_get_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    """An IPv6 address is written as in a URL."""
    monkeypatch.setattr(digitalocean, "find", lambda tag, environ: ["2001:db8::1", "203.0.113.7"])
    assert found("digitalocean") == ["[2001:db8::1]:8081", "203.0.113.7:8081"]
