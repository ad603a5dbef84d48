"""docs/outputs.md has each output, and only settings that the agent accepts."""

from __future__ import annotations

import re

from peers.readme import ROOT

from goloagent.core.output_parser import parse, parse_option, parse_tables
from goloagent.core.output_schemes import SCHEMES

PAGE = (ROOT / "docs" / "outputs.md").read_text(encoding="utf-8")
PAGES = [
    PAGE,
    *((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "docs/golo.md")),
]


def test_each_scheme_has_a_row() -> None:
    """The table of outputs has an accepted URL of each scheme, and names its extra."""
    rows = re.findall(r"^\| [^|]+ \| `(\w+)(\S+)` \| ([^|]+) \| [^|]+ \| ([^|]*)\|", PAGE, re.M)
    assert {scheme for scheme, *_ in rows} == set(SCHEMES)
    for scheme, rest, sends, install in rows:
        setting = parse("x", scheme + rest, {}, "the table")
        assert sends.startswith(f"{setting.unit}s"), scheme
        extra = SCHEMES[scheme].extra
        assert install.strip() == (f"`golo-agent[{extra}]`" if extra else ""), scheme


def test_examples_are_accepted() -> None:
    """Each `--output NAME=URL` of the documentation, and each settings file, can be used."""
    found = [
        option.replace("'", "")
        for page in PAGES
        for option in re.findall(r"--output\s+('?[a-z0-9_-]+='?[^\s'`]+)", page)
        if not option.startswith("NAME=")
    ]
    assert len(found) >= 4
    for option in found:
        parse_option(option)
    tables = re.findall(r"^```toml\n(.*?)^```", PAGE, re.M | re.S)
    assert tables
    assert all(parse_tables(table, "the page") for table in tables)


def test_members_exist() -> None:
    """Each member in the tables is one of an output, and each member of access is explained."""
    rows = [
        name
        for row in re.findall(r"^\| (`[a-z-]+=.*?) \|", PAGE, re.M)
        for name in re.findall(r"`([a-z-]+)=", row)
    ]
    known = {member for scheme in SCHEMES.values() for member in scheme.known}
    assert set(rows) <= known
    assert {member for scheme in SCHEMES.values() for member in scheme.common} <= set(rows)
