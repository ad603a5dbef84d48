"""The registry of sinks: it makes the sink of a setting, and names a missing library."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from goloagent.core.http_setting import SettingError
from goloagent.core.output_parser import parse_option
from goloagent.outputs.registry import make_sink

CONTEXT: Any = object()


def test_the_module_of_the_scheme_makes_the_sink() -> None:
    """It gets the setting and the context."""
    setting = parse_option("pg=postgresql://golo@db/golo")
    loaded = []

    def load(name: str) -> Any:
        loaded.append(name)
        return SimpleNamespace(make=lambda *arguments: arguments)

    assert make_sink(setting, CONTEXT, load) == (setting, CONTEXT)
    assert loaded == ["goloagent.outputs.sinks.postgresql.sink"]


def test_a_missing_library_is_named_with_the_extra_that_has_it() -> None:
    """The sentence begins with the option."""

    def load(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'psycopg.pq'", name="psycopg.pq")

    with pytest.raises(SettingError) as refused:
        make_sink(parse_option("pg=postgresql://golo@db/golo"), CONTEXT, load)
    assert str(refused.value) == (
        "--output pg: the Python package psycopg is missing; install golo-agent[postgresql]"
    )


def test_a_missing_module_of_the_agent_is_a_defect() -> None:
    """It is not reported as a missing library."""

    def load(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    with pytest.raises(ModuleNotFoundError):
        make_sink(parse_option("pg=postgresql://golo@db/golo"), CONTEXT, load)


def test_a_setting_that_the_sink_refuses_names_the_option() -> None:
    """A sink says what is wrong, and the registry where it was given."""

    def refuse(*_: object) -> None:
        raise SettingError("database is missing")

    with pytest.raises(SettingError, match=r"^--output i: database is missing$"):
        make_sink(
            parse_option("i=influx+http://h"), CONTEXT, lambda _: SimpleNamespace(make=refuse)
        )
