"""Query parameters of requests and of the next page of a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec.inspect import EnumType, Metadata, StructType, UnionType, type_info

from goloagent.http.problem import Problem, quoted

_Query = TypeVar("_Query", bound=msgspec.Struct)
_Item = TypeVar("_Item")


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


def parse_query(parameters: Mapping[bytes, Sequence[bytes]], kind: type[_Query]) -> _Query:
    """Convert query parameters to a struct.

    Raises:
        Problem: one is unknown, repeated or out of its bounds.
    """
    given: dict[str, str] = {}
    for name, values in parameters.items():
        if len(values) > 1:
            raise Problem(400, f"{quoted(name)} stands more than once in the query")
        given[name.decode("utf-8", "replace")] = values[0].decode("utf-8", "replace")
    try:
        query = msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Problem(400, f"invalid query: {error}{_expected(str(error), kind)}") from None
    for field in msgspec.structs.fields(kind):
        # msgspec converts the text "null" to None, which here means that it is not given.
        if field.encode_name in given and getattr(query, field.name) is None:
            raise Problem(400, f"invalid query: null is no value of {field.encode_name}")
    return query


def paginate(path: str, query: Any, found: Sequence[_Item]) -> tuple[Sequence[_Item], str | None]:
    """Return the first `query.limit` items, and the path of the next page if there are more.

    Args:
        query: a struct with the members `limit` and `before`.
        found: at least one item more than the limit, if there are as many; each has an `id`.
    """
    page: Sequence[Any] = found[: query.limit]
    if len(found) <= query.limit:
        return page, None
    following = msgspec.structs.replace(query, before=page[-1].id)
    return page, f"{path}?{urlencode(msgspec.to_builtins(following))}"


def _expected(error: str, kind: type[msgspec.Struct]) -> str:
    """Return the values of the parameter that the error is about, or else all parameters."""
    info = type_info(kind)
    fields = info.fields if isinstance(info, StructType) else ()
    for field in fields:
        if f"`$.{field.encode_name}`" in error:
            found = field.type.type if isinstance(field.type, Metadata) else field.type
            kinds = found.types if isinstance(found, UnionType) else (found,)
            values = [
                value.value for one in kinds if isinstance(one, EnumType) for value in one.cls
            ]
            return f"; values are {', '.join(values)}" if values else ""
    return f"; parameters are {', '.join(field.encode_name for field in fields) or 'none'}"
