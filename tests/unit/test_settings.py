"""The options' values: what each text means, and which texts are refused."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.settings import (
    MAX_DAYS,
    Settings,
    WrongOption,
    collector_url,
    count,
    days,
    listener,
    network,
    rpc_address,
    seconds,
    size_bytes,
)


@pytest.mark.parametrize(
    ("text", "to_text"),
    [
        ("http://localhost:8082", "http://localhost:8082"),
        ("http://localhost:8082/", "http://localhost:8082"),
        ("https://collector.example/a/b/", "https://collector.example/a/b"),
        ("http://[::1]:8082", "http://[::1]:8082"),
    ],
)
def test_collector_url(text: str, to_text: str) -> None:
    """A final slash makes no difference to where results go."""
    assert str(collector_url(text)) == to_text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "localhost:8082",
        "ftp://localhost",
        "http://",
        "/push",
        "http://localhost:port",
        "http://[::1",
        "http://localhost?token=1",
        "http://localhost/#top",
        "http://user:secret@localhost",
        "http://user:secret@localhost:x",
        "http://user:sec/ret@localhost",
    ],
)
def test_wrong_collector_url(text: str) -> None:
    """An invalid URL is refused in a line that names the option."""
    with pytest.raises(WrongOption, match=r"^--collector ") as wrong:
        collector_url(text)
    assert "\n" not in str(wrong.value)
    assert "secret" not in str(wrong.value)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9999", ("127.0.0.1", 9999)),
        ("[::1]:1", ("::1", 1)),
        ("localhost:65535", ("localhost", 65535)),
    ],
)
def test_rpc_address(text: str, address: tuple[str, int]) -> None:
    """The address is a host and a port, an IPv6 host in brackets."""
    assert rpc_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "9999", ":9999", "host:", "host:0", "host:65536", "host:-1", "host:x", "host:٣"),
        *("0.0.0.0:9999", "[::]:9999", "224.0.0.1:9999", "127.1:9999", "::1:9999", "[::1:9999"),
        *(
            "[fe80::1%25eth0]:9999",
            "[fe80::1]:9999",
            "a_b:9999",
            "xn--a:9999",
            "a b:9999",
            "host:9999:9999",
        ),
        *("host:9999:9999", "host/:9999", "http://host:9999", "u@host:9999", "a..b:9999"),
    ],
)
def test_wrong_rpc_address(text: str) -> None:
    """Without a host, or with a port that cannot be, it is refused."""
    with pytest.raises(WrongOption, match=r"^--rpc "):
        rpc_address(text)


@given(
    host=st.sampled_from(["127.0.0.1", "::1", "localhost", "2001:db8::1"]),
    port=st.integers(1, 65535),
)
def test_rpc_address_round_trip(host: str, port: int) -> None:
    """The address a load test is given reads back as the one that is connected to."""
    settings = Settings(
        collector=None,
        outputs=(),
        logs=Path("/logs"),
        state=Path("/state"),
        listen=(),
        rpc_host=host,
        rpc_port=port,
        token_file=None,
        no_auth=False,
        allow_from=(),
        run_as=None,
        containment="auto",
        log_format="text",
        start_timeout_seconds=1,
        drain_timeout_seconds=1,
        quiet_period_seconds=1,
        output_timeout_seconds=1,
        grace_seconds=1,
        max_upload_bytes=1,
        max_binaries_bytes=1,
        max_log_bytes=1,
        min_free_bytes=1,
        keep_days=1,
        keep_bytes=1,
        keep_jobs=1,
        max_connections=1,
        max_connections_per_peer=1,
    )
    assert rpc_address(settings.rpc_address) == (host, port)
    assert rpc_address(attrs.evolve(settings, rpc_port=1).rpc_address) == (host, 1)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("1", 1),
        ("1000000", 1_000_000),
        ("10B", 10),
        ("512MiB", 512 * 1024**2),
        ("2GB", 2 * 10**9),
        ("2 gib", 2 * 1024**3),
        (" 3kB ", 3000),
        ("4KiB", 4096),
        ("9223372036854775807", 2**63 - 1),
    ],
)
def test_size_bytes(text: str, count: int) -> None:
    """Units are decimal or binary, in any case."""
    assert size_bytes("--max-upload", text) == count


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "0GiB", "-1", "1.5GiB", "MiB", "1TiB", "1e6", "1 2", "٣"),
        *("9223372036854775808", "8589934592GiB", "9" * 5000, "1" + "0" * 18 + "GiB"),
    ],
)
def test_wrong_size(text: str) -> None:
    """Anything else is refused, and so is nothing at all."""
    with pytest.raises(WrongOption, match=r"^--max-upload "):
        size_bytes("--max-upload", text)


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "many", "1000000", "٣"])
def test_wrong_number_of_connections(text: str) -> None:
    """A bound is a number, and no bound at all cannot be asked for by mistake."""
    assert count("--max-connections", "999999", "connections") == 999_999
    with pytest.raises(WrongOption, match=r"^--max-connections "):
        count("--max-connections", text, "connections")


@pytest.mark.parametrize("text", ["", "-1", "1.5", "many", "36501", "999999", "٣", "9" * 5000])
def test_wrong_number_of_days(text: str) -> None:
    """A number of days is one that can be counted back from today."""
    assert days("--keep-days", "0") == 0
    longest = days("--keep-days", str(MAX_DAYS))
    assert datetime.now(timezone.utc) - timedelta(days=longest)
    with pytest.raises(WrongOption, match=r"^--keep-days "):
        days("--keep-days", text)


@pytest.mark.parametrize("text", ["", "0", "0.09", "3600.1", "-1", "1e2", "nan", "1 s", "1.0001"])
def test_wrong_number_of_seconds(text: str) -> None:
    """A timeout is a decimal number from 0.1 to 3600."""
    assert [seconds("--grace", good) for good in ("0.1", "10", "3600")] == [0.1, 10, 3600]
    with pytest.raises(WrongOption, match=r"^--grace "):
        seconds("--grace", text)


def test_network() -> None:
    """A network or one address is taken, of either family."""
    assert network("10.0.0.0/8") == ipaddress.ip_network("10.0.0.0/8")
    assert network("::1") == ipaddress.ip_network("::1/128")
    # Peers are known by their IPv4 address, by whichever family their connection comes.
    assert network("::ffff:10.0.0.0/104") == ipaddress.ip_network("10.0.0.0/8")


@pytest.mark.parametrize(
    "text", ["", "10.0.0.1/8", "10.0.0.0/33", "example.org", "10.0", "fe80::%eth0/64", " ::1"]
)
def test_wrong_network(text: str) -> None:
    """A network with host bits is refused."""
    with pytest.raises(WrongOption, match=r"^--allow-from "):
        network(text)


@pytest.mark.parametrize("text", ["tcp:http", "stdio:", "tcp:8081:interface=::1"])
def test_wrong_listener(text: str) -> None:
    """An invalid endpoint is refused in a line that names the option."""
    with pytest.raises(WrongOption, match=r"^--listen "):
        listener(text)


READERS: tuple[Callable[[str], object], ...] = (
    collector_url,
    rpc_address,
    network,
    lambda text: count("--max-connections", text, "connections"),
    lambda text: size_bytes("--max-upload", text),
    lambda text: days("--keep-days", text),
    lambda text: seconds("--grace", text),
    listener,
)


@given(
    read=st.sampled_from(READERS),
    text=st.text(max_size=40) | st.from_regex(r"[\w\[\]:./=\\%?#@-]{0,40}"),
)
def test_any_text(read: Callable[[str], object], text: str) -> None:
    """Any text is parsed or refused."""
    with suppress(WrongOption):
        read(text)
