"""The access policy."""

from __future__ import annotations

import ipaddress
from base64 import b64encode

import pytest

from goloagent.http.auth.access import CHALLENGES, AccessPolicy, HeaderValues
from goloagent.http.problem import Problem

TOKEN = "correct-horse"
WITH_TOKEN = AccessPolicy(token=TOKEN.encode())
OPEN = AccessPolicy(hosts=("agent.example",))


def basic(user_and_password: str) -> str:
    """Return the header with which a browser sends a user and a password."""
    return f"Basic {b64encode(user_and_password.encode()).decode()}"


def headers(*pairs: tuple[str, str]) -> HeaderValues:
    """Return the look-up of a request's headers."""
    return lambda name: [value for known, value in pairs if known == name]


def status(access: AccessPolicy, *pairs: tuple[str, str], peer: str | None = "127.0.0.1") -> int:
    """Return 200 if `access` allows a request with these headers, otherwise the error's status."""
    try:
        access.check(peer, headers(*pairs))
    except Problem as problem:
        return problem.status
    return 200


def test_the_token() -> None:
    """One header with the token is accepted; the scheme's case does not matter (RFC 9110)."""
    assert status(WITH_TOKEN, ("Authorization", f"Bearer {TOKEN}")) == 200
    assert status(WITH_TOKEN, ("Authorization", f"bearer {TOKEN}")) == 200


@pytest.mark.parametrize(
    "given",
    [
        [],
        [""],
        ["Bearer"],
        ["Bearer "],
        ["Bearer wrong"],
        [f"Bearer {TOKEN[:-1]}"],
        [f"Bearer {TOKEN}x"],
        [f"Bearer  {TOKEN}"],
        [f"Bearer {TOKEN.upper()}"],
        ["Bearer \xff\xe9"],
        [f"Basic {TOKEN}"],
        ["Basic"],
        ["Basic "],
        ["Basic \xff"],
        ["Basic ===="],
        [f"Basic {b64encode(TOKEN.encode()).decode()}"],
        [basic(f"{TOKEN}:")],
        [basic(f"user:{TOKEN[:-1]}")],
        [basic(f"user:{TOKEN}x")],
        [basic(f"user:x:{TOKEN}")],
        [basic("user:")],
        [f"{basic(f'user:{TOKEN}')}!"],
        [basic(f"user:{TOKEN}").replace("Basic", "Bearer")],
        [basic(f"user:{TOKEN}"), f"Bearer {TOKEN}"],
        [TOKEN],
        [f"Bearer {TOKEN}", f"Bearer {TOKEN}"],
        [f"Bearer {TOKEN}", "Bearer wrong"],
    ],
)
def test_anything_but_the_token_is_401(given: list[str]) -> None:
    """A missing, wrong, partial, empty or repeated token is refused."""
    with pytest.raises(Problem) as refusal:
        WITH_TOKEN.check("127.0.0.1", headers(*(("Authorization", value) for value in given)))
    assert refusal.value.status == 401
    assert refusal.value.headers == {"WWW-Authenticate": CHALLENGES}
    assert [challenge.split()[0] for challenge in CHALLENGES] == ["Bearer", "Basic"]


@pytest.mark.parametrize(
    ("own", "authorization", "expected"),
    [
        ([TOKEN], [], 200),
        ([TOKEN], ["Bearer of-a-proxy"], 200),
        ([TOKEN[:-1]], [], 401),
        ([""], [], 401),
        ([TOKEN, TOKEN], [], 401),
        ([f"Bearer {TOKEN}"], [], 401),
        (["wrong"], [f"Bearer {TOKEN}"], 401),
    ],
)
def test_the_token_in_a_header_of_its_own(
    own: list[str], authorization: list[str], expected: int
) -> None:
    """A proxy may need Authorization for itself; a token in X-Golo-Token is the one that counts."""
    given = [("X-Golo-Token", value) for value in own]
    given += [("Authorization", value) for value in authorization]
    assert status(WITH_TOKEN, *given) == expected
    assert not WITH_TOKEN.allows_status("127.0.0.1", headers(*given))


@pytest.mark.parametrize(
    ("program", "is_browser"), [("Mozilla/5.0 (X11)", True), ("Java/17", False), ("curl/8", False)]
)
def test_browsers_get_a_hint_where_the_token_goes(program: str, is_browser: bool) -> None:
    """Their dialog asks for a user and a password, and cannot say which of them is the token."""
    with pytest.raises(Problem) as refusal:
        WITH_TOKEN.check("127.0.0.1", headers(("User-Agent", program)))
    assert refusal.value.detail.startswith("a valid bearer token is required")
    assert ("enter the token as password" in refusal.value.detail) == is_browser


@pytest.mark.parametrize("user", ["", "admin", "ädmin"])
def test_the_token_as_a_password(user: str) -> None:
    """Browsers have a dialog for passwords only; the user name does not matter."""
    assert status(WITH_TOKEN, ("Authorization", basic(f"{user}:{TOKEN}"))) == 200
    lower = basic(f"{user}:{TOKEN}").replace("Basic", "basic")
    assert status(WITH_TOKEN, ("Authorization", lower)) == 200


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("Sec-Fetch-Site", "same-origin", 200),
        ("Sec-Fetch-Site", "none", 200),
        ("Sec-Fetch-Site", "same-site", 403),
        ("Sec-Fetch-Site", "cross-site", 403),
        ("Origin", "http://agent-7.fleet:8081", 200),
        ("Origin", "https://agent-7.fleet:8081", 200),
        ("Origin", "http://agent-7.fleet", 403),
        ("Origin", "http://evil.example", 403),
        ("Origin", "null", 403),
    ],
)
def test_a_password_of_another_site(name: str, value: str, expected: int) -> None:
    """A browser adds the password to requests of any page (D5)."""
    authorization = ("Authorization", basic(f"user:{TOKEN}"))
    host = ("Host", "agent-7.fleet:8081")
    assert status(WITH_TOKEN, authorization, host, (name, value)) == expected
    assert status(WITH_TOKEN, host, (name, value)) == 401


def test_the_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """hmac.compare_digest compares it."""
    compared = []
    monkeypatch.setattr("hmac.compare_digest", lambda *pair: bool(compared.append(pair)))
    assert status(WITH_TOKEN, ("Authorization", f"Bearer {TOKEN}")) == 401
    assert status(WITH_TOKEN, ("Authorization", basic(f"user:{TOKEN}"))) == 401
    assert compared == [(TOKEN.encode(), TOKEN.encode())] * 2


def test_an_empty_token_is_rejected() -> None:
    """It cannot be configured; and no token is shown in a repr."""
    with pytest.raises(ValueError, match="token"):
        AccessPolicy(token=b"")
    assert TOKEN not in repr(WITH_TOKEN)


def test_the_token_needs_no_host_and_no_origin() -> None:
    """A client with the token may use any name and any page."""
    foreign = [
        ("Host", "evil.example"),
        ("Origin", "http://other.example"),
        ("Sec-Fetch-Site", "cross-site"),
    ]
    assert status(WITH_TOKEN, ("Authorization", f"Bearer {TOKEN}"), *foreign) == 200


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8081",
        "LOCALHOST:8081",
        "localhost:",
        "127.0.0.1",
        "127.0.0.1:8081",
        "127.8.9.10:1",
        "[::1]",
        "[::1]:8081",
        "::1",
        "::1:8081",
        "agent.example:8081",
        "Agent.Example",
    ],
)
def test_own_names(host: str) -> None:
    """Without a token, Host may be localhost, a loopback address or a configured name."""
    assert status(OPEN, ("Host", host)) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8081",
        "localhost.evil.example",
        "evil.localhost",
        "localhost.",
        "notlocalhost",
        "127.0.0.1.evil.example",
        "127.1",
        "2130706433",
        "10.0.0.1:8081",
        "0.0.0.0",
        "[::]",
        "::2",
        "::1:port",
        "2001:db8::1:8081",
        "[::1",
        "[localhost]evil",
        "localhost:80:80",
        "localhost:port",
        "localhost@evil.example",
        "user@localhost",
        "",
        ":8081",
        "localh\xf6st",
    ],
)
def test_a_rebound_name_is_403(host: str) -> None:
    """Without a token, another Host may be the result of DNS rebinding."""
    assert status(OPEN, ("Host", host)) == 403


def test_any_name_and_another_site() -> None:
    """If all names are allowed, requests of other sites are still refused."""
    anywhere = AccessPolicy(hosts=None)
    assert status(anywhere, ("Host", "agent-7.fleet:8081")) == 200
    foreign = ("Origin", "http://evil.example")
    assert status(anywhere, ("Host", "agent-7.fleet:8081"), foreign) == 403


def test_two_hosts_are_403() -> None:
    """A proxy may have used either."""
    assert status(OPEN, ("Host", "localhost"), ("Host", "localhost")) == 403


def test_no_host() -> None:
    """HTTP/1.0 clients without a Host are no browsers."""
    assert status(OPEN) == 200


@pytest.mark.parametrize(
    ("site", "expected"),
    [
        ("same-origin", 200),
        ("none", 200),
        ("same-site", 403),
        ("cross-site", 403),
        ("", 403),
        ("SAME-ORIGIN", 403),
        ("new-value", 403),
    ],
)
def test_sec_fetch_site(site: str, expected: int) -> None:
    """Only the agent's own pages and the address bar are allowed."""
    assert status(OPEN, ("Host", "localhost:8081"), ("Sec-Fetch-Site", site)) == expected


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://localhost:8081", 200),
        ("https://localhost:8081", 200),
        ("HTTP://LocalHost:8081", 200),
        ("http://localhost", 403),
        ("http://localhost:8082", 403),
        ("http://127.0.0.1:8081", 403),
        ("http://evil.example", 403),
        ("http://localhost:8081.evil.example", 403),
        ("file://localhost:8081", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_origin(origin: str, expected: int) -> None:
    """It must be the Host with its port."""
    assert status(OPEN, ("Host", "localhost:8081"), ("Origin", origin)) == expected


def test_several_origins() -> None:
    """All must be the Host; without a Host there is none."""
    ours = ("Origin", "http://localhost")
    assert status(OPEN, ("Host", "localhost"), ours, ("Origin", "null")) == 403
    assert status(OPEN, ours) == 403
    own, other = ("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site")
    assert status(OPEN, ("Host", "localhost"), own, other) == 403


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        ("10.1.2.3", 200),
        ("::ffff:10.1.2.3", 200),
        ("2001:db8::5", 200),
        (None, 200),
        ("11.1.2.3", 403),
        ("127.0.0.1", 403),
        ("::ffff:11.1.2.3", 403),
        ("2001:db9::5", 403),
        ("fe80::1%eth0", 403),
    ],
)
def test_networks(peer: str | None, expected: int) -> None:
    """Only addresses in the networks are allowed, in any notation, and Unix sockets."""
    networks = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8::/32"))
    assert status(AccessPolicy(networks=networks), ("Host", "localhost"), peer=peer) == expected


def test_the_token_does_not_widen_the_networks() -> None:
    """A client outside the networks is refused with the token, too."""
    access = AccessPolicy(token=TOKEN.encode(), networks=(ipaddress.ip_network("10.0.0.0/8"),))
    authorization = ("Authorization", f"Bearer {TOKEN}")
    assert status(access, authorization, peer="10.0.0.1") == 200
    assert status(access, authorization, peer="192.0.2.1") == 403
