"""The settings of outputs: what is accepted, and one sentence for what is not."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goloagent.core.http_setting import HttpSetting, SettingError
from goloagent.core.output_parser import MAX_OUTPUTS, check_names, parse_option, parse_tables
from goloagent.core.output_schemes import SCHEMES
from goloagent.core.output_setting import OutputSetting

SECRET = "s3cret-55c0"


def test_an_http_output_has_its_url_its_members_and_its_access(tmp_path: Path) -> None:
    """The query is divided into the output's own members and those of access."""
    token, ca = tmp_path / "token", tmp_path / "ca"
    setting = parse_option(
        f"in-1=influx+https://Influx:8086/base/?database=golo%26x&unit=second&token-file={token}"
        f"&ca={ca}&gzip=no&timeout=1m30s&required=no"
    )
    assert setting == OutputSetting(
        name="in-1",
        scheme="influx",
        url="https://Influx:8086/base/",
        target="influx:8086/base",
        members={"database": "golo&x"},
        required=False,
        unit="second",
        http=HttpSetting(token_file=token, ca=ca, gzip=False, timeout_seconds=90.0),
        origin="--output in-1",
    )
    assert setting.shown == "influx+https://influx:8086/base"
    assert setting.own_paths == (token,)
    assert setting.http.certificates == (ca,)


def test_defaults() -> None:
    """Without members an output is required, and verifies certificates."""
    setting = parse_option("c=collector+http://[::1]:8082")
    assert (setting.required, setting.unit, setting.http) == (True, "result", HttpSetting())
    assert parse_option("p=prometheus+http://p").unit == "second"


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("jsonl:/srv/a.jsonl", "/srv/a.jsonl"),
        ("jsonl:///srv/a.jsonl", "/srv/a.jsonl"),
        ("jsonl:/srv/a%3Fb%25.jsonl", "/srv/a?b%.jsonl"),
        ("csv:results.csv", str(Path.cwd() / "results.csv")),
        ("parquet:/srv/results", "/srv/results"),
        ("csv:/srv/tables/", "/srv/tables/"),
        ("csv:tables//", f"{Path.cwd() / 'tables'}/"),
        ("kafka://a:9092,b:9092/golo", "a:9092,b:9092/golo"),
        ("postgresql://golo@db:5432/golo", "golo@db:5432/golo"),
        ("exec:store --to %3F now", "store --to ? now"),
        ("exec:./store a/b", f"{Path.cwd()}/store a/b"),
        ("exec:/bin/store 'a b'", "/bin/store 'a b'"),
    ],
)
def test_targets(text: str, target: str) -> None:
    """A path is absolute, because a daemon changes its directory; a command is whole."""
    setting = parse_option(f"x={text}")
    assert setting.target == target
    assert (setting.path is None) == (setting.scheme not in ("jsonl", "csv", "parquet"))


@pytest.mark.parametrize(
    "text",
    [
        "a=jsonl:dir/a%3Fb%25 c.jsonl?required=no",
        "a=influx+https://H:1/base/?database=a%26b%3Dc+d&unit=second&token-file=t&timeout=250ms",
        "a=collector+https://h?ca=ca&cert=c&key=k",
        "a=collector+https://h?insecure=yes&gzip=no&password-file=p%20w",
        "a=kafka://a:1,b:2/t?password-file=x",
        "a=exec:./store --to %3F%26 a=b '%25'",
        "a=csv:%FF",
        "a=csv:tables/",
    ],
)
def test_a_setting_as_an_option_is_the_same(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is read."""
    setting = parse_option(text)
    option = setting.option
    monkeypatch.chdir("/")
    assert parse_option(option) == setting
    assert parse_option(option).option == option


def test_arguments_of_a_command_are_not_shown() -> None:
    """They may have a password."""
    setting = parse_option(f"x=exec:/bin/store --password {SECRET}")
    assert setting.shown == "exec:/bin/store"
    assert SECRET not in repr(setting)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("influx", "not NAME=URL"),
        (f"influx+http://me:{SECRET}@host", "not NAME=URL"),
        ("=influx+http://h", "1 to 32 lower-case letters"),
        ("A=influx+http://h", "1 to 32 lower-case letters"),
        (f"{'a' * 33}=influx+http://h", "1 to 32 lower-case letters"),
        ("collector=collector+http://h", "the name of --collector's output"),
        ("x=", "it has no scheme; the schemes are collector, influx"),
        ("x=localhost:8086", "there is no scheme localhost; the schemes are collector, influx"),
        ("x=http://h", "there is no scheme http; the schemes are"),
        ("x=influx://h", r"write its URL as influx\+http://HOST"),
        ("x=kafka+http://h/t", "write its URL as kafka://HOST"),
        ("x=kafka:h/t", "write its URL as kafka://HOST"),
        ("x=kafka:///", "write its URL as kafka://HOST"),
        ("x=jsonl://host/a", "write its URL as jsonl:/PATH"),
        ("x=jsonl:", "write its URL as jsonl:/PATH"),
        ("x=jsonl:/", "write its URL as jsonl:/PATH"),
        ("x=jsonl:/a%", "write a percent sign in its URL as %25"),
        ("x=exec: ", "write its URL as exec:COMMAND"),
        ("x=influx+http://", "not an http:// or https:// URL with a host"),
        ("x=influx+http://h:99999", "port must be a number"),
        ("x=influx+http://h#a", "remove the query and the fragment"),
        (f"x=influx+http://me:{SECRET}@h", "token-file or password-file"),
        (f"x=postgresql://me:{SECRET}@h/d", "use password-file"),
        ("x=influx+http://h?databse=a", "no member databse; the members are database, "),
        ("x=jsonl:/a?token-file=/t", "no member token-file; the members are .*required"),
        ("x=influx+http://h?database", "write the members of its URL as member=value"),
        ("x=influx+http://h?database=", "write the members of its URL as member=value"),
        ("x=influx+http://h?database=a&database=b", "database is given twice"),
        ("x=influx+http://h?unit=minute", "unit=minute is not one of result, second"),
        ("x=prometheus+http://h?unit=second", "no member unit"),
        ("x=influx+http://h?required=maybe", "required=maybe is not yes or no"),
        ("x=influx+http://h?timeout=soon", 'timeout: "soon" is not a duration'),
        ("x=influx+http://h?timeout=2h", "timeout=2h is not from 0.1 s to 3600 s"),
        ("x=influx+http://h?token-file=/a&password-file=/b", "use one of them"),
        ("x=influx+http://h?ca=/a", "ca: its URL has no TLS"),
        ("x=influx+https://h?ca=/a&insecure=yes", "use one of them"),
        ("x=influx+https://h?key=/a", "name the certificate too, by cert"),
        ("x=influx+https://a_b", "no certificate can be for a_b"),
        (f"x=influx+http://h/{'a' * 5000}", "longer than 4096 characters"),
    ],
)
def test_an_invalid_setting_is_one_sentence(text: str, sentence: str) -> None:
    """It names the output and says what to change, and shows no secret."""
    with pytest.raises(SettingError, match=sentence) as refused:
        parse_option(text)
    line = str(refused.value)
    assert line.startswith("--output ")
    assert "\n" not in line
    assert SECRET not in line
    assert len(line) < 400


def test_a_settings_file_has_the_same_members() -> None:
    """A table is an output, and its keys are the members of a URL."""
    [influx, archive] = parse_tables(
        '[influx]\nurl = "influx+http://h?bucket=b"\norg = "o"\nrequired = false\ntimeout = 5\n'
        '[archive]\nurl = "jsonl:/a"\n',
        "--outputs f.toml",
    )
    assert (influx.name, influx.required, influx.http.timeout_seconds) == ("influx", False, 5.0)
    assert influx.members == {"bucket": "b", "org": "o"}
    assert (archive.name, archive.origin) == ("archive", "--outputs f.toml [archive]")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[", "--outputs f: "),
        ("a = 1", "a must be a table with a url"),
        ("[a]", "a must be a table with a url"),
        ("[a]\nurl = 1", "a must be a table with a url"),
        ('[a]\nurl = "jsonl:/a"\nsize = 5', r"--outputs f \[a\]: there is no member size"),
        ('[a]\nurl = "jsonl:/a?gzip=yes"\ngzip = true', "gzip is given in its URL and"),
        ('[a]\nurl = "jsonl:/a"\ngzip = []', "gzip must be a string, a number or a boolean"),
        ('[a]\nurl = "jsonl:/a"\ngzip = ""', "gzip must be a string, a number or a boolean"),
        ('[collector]\nurl = "collector+http://h"', "the name of --collector's output"),
    ],
)
def test_an_invalid_settings_file_is_one_sentence(text: str, sentence: str) -> None:
    """It names the file and the table."""
    with pytest.raises(SettingError, match=sentence) as refused:
        parse_tables(text, "--outputs f")
    assert "\n" not in str(refused.value)


def test_names_are_unique() -> None:
    """Also between a settings file and options; the number of outputs is limited."""
    [of_file] = parse_tables('[a]\nurl = "jsonl:/a"', "--outputs f")
    with pytest.raises(SettingError, match=r"^--output a: .* twice, also by --outputs f \[a\]"):
        check_names([of_file, parse_option("a=csv:/b")])
    with pytest.raises(SettingError, match="there may be"):
        check_names(parse_option(f"a{n}=csv:/{n}") for n in range(MAX_OUTPUTS + 1))


def test_values_of_members() -> None:
    """Sinks read their members as the type that they need."""
    setting = OutputSetting("x", "influx", "http://h", members={"a": "5", "b": "yes", "c": "q"})
    assert setting.number("a", 1, 0, 10) == 5
    assert setting.number("z", 1, 0, 10) == 1
    assert setting.flag("b", False)
    assert not setting.flag("z", False)
    assert setting.choice("c", ["p", "q"], "p") == "q"
    for read in (
        lambda: setting.number("a", 1, 0, 4),
        lambda: setting.number("c", 1, 0, 4),
        lambda: setting.flag("a", True),
        lambda: setting.choice("a", ["p"], "p"),
    ):
        with pytest.raises(SettingError, match="is not"):
            read()


@given(st.text() | st.builds("x={}:{}?{}".format, st.sampled_from(list(SCHEMES)), *[st.text()] * 2))
def test_no_text_has_another_outcome(text: str) -> None:
    """Every text is a setting, or refused with one sentence."""
    try:
        setting = parse_option(text)
    except SettingError:
        return
    assert setting.shown
    assert parse_option(setting.option) == attrs.evolve(setting, origin=f"--output {setting.name}")


def test_every_scheme_is_consistent() -> None:
    """Its members have different names, and its extra is one of the package."""
    setup = (Path(__file__).parents[3] / "setup.py").read_text(encoding="utf-8")
    for name, scheme in SCHEMES.items():
        assert len(set(scheme.known)) == len(scheme.known), name
        assert not scheme.extra or f'"{scheme.extra}": [' in setup, name
