"""The command line: its defaults, and what ends the start with one line."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest
from twisted.scripts._twistd_unix import ServerOptions

from goloagent import VERSION
from goloagent.core.address import HttpUrl
from goloagent.core.http_setting import HttpSetting
from goloagent.options import Options
from goloagent.runs.timeouts import Timeouts
from goloagent.settings import CollectorSettings

ORDINARY_USER = pwd.getpwall()[-1].pw_name


def parse(*arguments: str) -> Options:
    """Parse a command line."""
    options = Options()
    options.parseOptions(list(arguments))
    return options


def refusal(*arguments: str) -> str:
    """Return the one line with which the start fails."""
    with pytest.raises(SystemExit) as ended:
        parse(*arguments)
    line = ended.value.code
    assert isinstance(line, str)  # which makes the exit code 1
    assert line.startswith("golo-agent: ")
    assert "\n" not in line
    return line


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the agent as an ordinary user."""
    monkeypatch.setattr(os, "geteuid", lambda: pwd.getpwnam(ORDINARY_USER).pw_uid)


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the agent as root."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def test_defaults(user: None) -> None:
    """Without options the agent is where clients and collectors expect it, for this host alone."""
    settings = parse().settings
    assert settings.collector == CollectorSettings(HttpUrl.parse("http://localhost:8082"))
    assert parse("--output", "file=jsonl:/tmp/results").settings.collector is None
    assert settings.logs == Path("/var/log/loadtest-agent")
    assert settings.state == Path("/var/lib/golo-agent")
    assert settings.listen == ("tcp:8081:interface=127.0.0.1",)
    assert settings.rpc_address == "127.0.0.1:9999"
    assert settings.max_upload_bytes == 512 * 1024**2
    assert (settings.max_connections, settings.max_connections_per_peer) == (256, 32)
    assert settings.max_binaries_bytes == 10 * 1024**3
    assert settings.token_file is settings.run_as is None
    assert settings.allow_from == ()
    assert settings.containment == "auto"
    assert not settings.no_auth
    wired = {
        "start_seconds": settings.start_timeout_seconds,
        "drain_seconds": settings.drain_timeout_seconds,
        "quiet_seconds": settings.quiet_period_seconds,
        "output_seconds": settings.output_timeout_seconds,
        "grace_seconds": settings.grace_seconds,
    }
    assert Timeouts(**wired) == Timeouts()


def test_outputs(tmp_path: Path, user: None) -> None:
    """Outputs of the settings file and of options are those of the agent; secrets are protected."""
    file = tmp_path / "outputs.toml"
    file.write_text(
        '[influx]\nurl = "influx+https://h"\nca = "/ca"\ntoken-file = "/t"\n', encoding="utf-8"
    )
    settings = parse(
        "--outputs", str(file), "--output", "a=jsonl:/srv/a", "--output=b=exec:run --x=y"
    ).settings
    assert [output.name for output in settings.outputs] == ["influx", "a", "b"]
    assert {Path("/t"), Path("/srv/a")} <= set(settings.own_paths)
    assert settings.certificates == (Path("/ca"),)
    assert parse().settings.outputs == ()


def test_log_format(user: None) -> None:
    """Text is the default; an unknown format ends the start."""
    assert parse().settings.log_format == "text"
    assert parse("--log-format", "json").settings.log_format == "json"
    assert "--log-format xml: not one of text, json" in refusal("--log-format", "xml")


def test_wrong_outputs(tmp_path: Path, user: None) -> None:
    """They end the start, as other wrong options do."""
    file = tmp_path / "outputs.toml"
    file.write_text('[a]\nurl = "jsonl:/a"\n', encoding="utf-8")
    assert "there is no scheme foo; the schemes are" in refusal("--output", "a=foo:bar")
    assert "twice, also by --outputs" in refusal("--outputs", str(file), "--output", "a=csv:/a")
    missing = str(tmp_path / "missing")
    assert f"--outputs {missing}: No such file" in refusal("--outputs", missing)
    assert "Is a directory" in refusal("--outputs", str(tmp_path))
    assert "--outputs: it is empty" in refusal("--outputs", "")
    file.write_bytes(b"\xff")
    assert "not UTF-8 at byte 0" in refusal("--outputs", str(file))
    file.write_bytes(b"#" * 300_000)
    assert "larger than 262144 bytes" in refusal("--outputs", str(file))


def test_every_option() -> None:
    """Each option reaches its setting; those that may be repeated keep their order."""
    settings = parse(
        *("--collector", "https://c.example", "--insecure", "--collector-cert", "c.pem"),
        *(
            "--collector-key",
            "/k.pem",
            "--collector-token-file",
            "/t",
            "--logs",
            "logs",
            "--state",
            "/s",
        ),
        *("--listen", "tcp:1", "--listen", "unix:/x", "--rpc", "[::1]:2", "--token-file", "t"),
        *("--no-auth", "--allow-from", "10.0.0.0/8", "--allow-from", "::1"),
        *("--max-upload", "1MiB", "--containment", "process-group"),
        *("--max-binaries", "2GB", "--start-timeout", "0.5", "--drain-timeout", "2"),
        *("--quiet-period", "0.1", "--output-timeout", "3", "--grace", "3600"),
    ).settings
    assert (settings.start_timeout_seconds, settings.drain_timeout_seconds) == (0.5, 2)
    assert (settings.quiet_period_seconds, settings.output_timeout_seconds) == (0.1, 3)
    assert settings.grace_seconds == 3600
    assert settings.collector == CollectorSettings(
        HttpUrl.parse("https://c.example"),
        HttpSetting(
            insecure=True,
            certificate=Path.cwd() / "c.pem",
            key=Path("/k.pem"),
            token_file=Path("/t"),
        ),
    )
    assert settings.logs == Path.cwd() / "logs"  # twistd changes its directory
    assert settings.state == Path("/s")
    assert settings.listen == ("tcp:1", "unix:/x")
    assert (settings.rpc_host, settings.rpc_port) == ("::1", 2)
    assert settings.token_file == Path("t")
    assert settings.no_auth
    assert [str(network) for network in settings.allow_from] == ["10.0.0.0/8", "::1/128"]
    assert settings.max_upload_bytes == 1024**2
    assert settings.max_binaries_bytes == 2 * 10**9
    assert settings.containment == "process-group"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--collector", "ftp://x"], "--collector ftp://x"),
        (["--rpc", "9999"], "--rpc 9999"),
        (["--max-upload", "much"], "--max-upload much"),
        (["--max-binaries", "0"], "--max-binaries 0"),
        (["--allow-from", "here"], "--allow-from here"),
        (["--run-as", "no-such-user"], "--run-as no-such-user: there is no such user"),
        (["--run-as", ""], "--run-as: it is empty"),
        (["--logs", ""], "--logs: it is empty"),
        (["--listen", ""], "--listen "),
        (["--allow-from", ""], "--allow-from "),
        (["--listen", "stdio:"], "--listen stdio:"),
        (["--max-log", "9223372036854775808"], "--max-log 9223372036854775808"),
        (["--keep-days", "999999"], "--keep-days 999999"),
        (["--grace", "0"], "--grace 0: not a number of seconds from 0.1 to 3600"),
        (
            ["--quiet-period", "11"],
            "--quiet-period 11: --output-timeout 10 ends it; use a longer --output-timeout",
        ),
        (["--keep-jobs", "0"], "--keep-jobs 0"),
        (["--keep-jobs", "1000000"], "--keep-jobs 1000000"),
        (["--max-connections", "0"], "--max-connections 0"),
        (["--listen", "tcp:8081"], "--listen tcp:8081: other hosts reach it"),
        (["--listen", "unix:/x", "--listen", "tcp:1"], "--listen tcp:1"),
        (["--no-such-option"], "no-such-option"),
        (["--logs"], "logs"),
        (["extra"], "extra"),
    ],
)
def test_wrong_command_line(arguments: list[str], says: str) -> None:
    """One line on stderr names the option and says why."""
    assert says in refusal(*arguments)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["http://c", "--collector-ca", "f"], "--collector-ca: --collector http://c has no TLS"),
        (["http://c", "--collector-cert", "f"], "--collector-cert: --collector http://c"),
        (["https://c", "--collector-key", "f"], "by --collector-cert"),
        (["https://c", "--collector-ca", "f", "--insecure"], "--collector-ca: with --insecure"),
        (["https://c", "--collector-ca", ""], "--collector-ca: it is empty"),
        (["https://a_b"], "--collector https://a_b: no certificate can be for a_b"),
        (["https://xn--a"], "no certificate can be for xn--a"),
        (["none", "--collector-token-file", "f"], "--collector-token-file: there is no collector"),
        (["none", "--collector-ca", "f"], "--collector-ca: there is no collector"),
        (["None"], "--collector None: not an http"),
        (["http://u:secret@c"], "credentials in the URL are not supported"),
    ],
)
def test_options_of_the_collector_go_together(arguments: list[str], says: str) -> None:
    """An option without effect, or that lacks another, is refused in one line."""
    line = refusal("--collector", *arguments)
    assert says in line
    assert "secret" not in line


def test_no_collector() -> None:
    """`none` means no collector."""
    assert parse("--collector", "none").settings.collector is None
    assert parse("--collector", "none", "--insecure").settings.collector is None


def test_paths_denied_to_load_tests() -> None:
    """Keys and tokens for the collector are denied to load tests; certificates may be read."""
    one = parse(
        *("--collector", "https://c", "--collector-ca", "/ca", "--collector-cert", "/cert"),
        *("--collector-key", "/key", "--collector-token-file", "/token"),
    ).settings
    assert {Path("/key"), Path("/token")} <= set(one.own_paths)
    assert one.collector is not None
    assert one.collector.http.certificates == (Path("/ca"), Path("/cert"))
    both = parse("--collector", "https://c", "--collector-cert", "/both").settings
    assert Path("/both") in both.own_paths


@pytest.mark.parametrize("option", [("--no-auth",), ("--token-file", "/token")])
def test_a_listener_for_other_hosts(option: tuple[str, ...]) -> None:
    """Other hosts may connect with a token, or with --no-auth."""
    assert parse("--listen", "tcp:8081", *option).settings.listen == ("tcp:8081",)


def test_root_runs_load_tests_as_nobody(root: None) -> None:
    """An agent that is root changes the user of load tests, unless --run-as is root."""
    assert parse().settings.run_as == "nobody"
    assert parse("--run-as", ORDINARY_USER).settings.run_as == ORDINARY_USER
    assert parse("--run-as", "root").settings.run_as is None


def test_users_run_load_tests_themselves(user: None) -> None:
    """An ordinary user can only run load tests as themselves."""
    assert parse("--run-as", ORDINARY_USER).settings.run_as is None
    assert "only root" in refusal("--run-as", "root")


@pytest.mark.parametrize(
    "arguments",
    [
        ("-collector", "http://c:1", "-logs", "/l", "-insecure"),
        ("-collector=http://c:1", "-logs=/l", "-insecure=true"),
        ("--collector", "http://c:1", "--logs=/l", "--insecure=T"),
    ],
)
def test_the_options_of_the_go_lo_agent(arguments: tuple[str, ...]) -> None:
    """They may have one dash or two, and a value behind an equals sign, as Go's flags."""
    settings = parse(*arguments).settings
    assert settings.collector is not None
    assert (str(settings.collector.url), settings.logs) == ("http://c:1", Path("/l"))
    assert settings.collector.http.insecure


def test_a_false_boolean_of_go() -> None:
    """It leaves the option off; what is no boolean is refused by name."""
    collector = parse("-insecure=false").settings.collector
    assert collector is not None
    assert not collector.http.insecure
    assert "-insecure=maybe: not true or false" in refusal("-insecure=maybe")


@pytest.mark.parametrize("argument", ["-state", "-c", "-listen=tcp:1", "-token-file=x"])
def test_other_options_have_two_dashes(argument: str) -> None:
    """Only what the go-lo agent knew is accepted with one."""
    assert "not recognized" in refusal(argument)


def test_the_version_is_our_own(capsys: pytest.CaptureFixture[str]) -> None:
    """And not Twisted's."""
    with pytest.raises(SystemExit) as ended:
        parse("--version")
    assert (ended.value.code, capsys.readouterr().out) == (0, f"golo-agent {VERSION}\n")


@pytest.mark.parametrize(
    ("arguments", "pidfile"),
    [
        (["--nodaemon"], ""),
        (["--nodaemon", "--pidfile", "/run/x.pid"], "/run/x.pid"),
        (["--nodaemon", "--pidfile="], ""),
        ([], "twistd.pid"),
    ],
)
def test_a_foreground_agent_writes_no_pid_file(arguments: list[str], pidfile: str) -> None:
    """A file that a kill has left cannot prevent the next start; one that is named is written."""
    twistd = ServerOptions()
    twistd.parseOptions([*arguments, "golo-agent", "--logs", "/l", "--state", "/s"])
    assert twistd["pidfile"] == (pidfile and str(Path(pidfile).absolute()))
