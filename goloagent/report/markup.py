"""HTML that is built of elements, whose texts and attributes are escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape


class Markup(str):
    """A text that is HTML already."""

    __slots__ = ()


Child = str | None
# Characters that HTML does not have, or that change the direction of what follows them.
_HIDDEN = re.compile(
    "[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_VOID = frozenset({"br", "col", "input", "meta", "link"})


def tag(name: str, *children: Child, **attributes: object) -> Markup:
    """Return an element.

    Args:
        children: texts, and `Markup` as it is; None is left out.
        attributes: True is one without a value, None and False are left out; in names, "_" stands
            for "-", and one at the end is left out.
    """
    given = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{join(*children)}</{name}>")


def join(*children: Child) -> Markup:
    """Return texts and markup, one after the other."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else _escaped(child)
            for child in children
            if child is not None
        )
    )


def table(
    heads: Iterable[Markup], rows: Iterable[Markup], caption: str, **attributes: object
) -> Markup:
    """Return a table that scrolls in itself, with a caption for screen readers."""
    whole = tag(
        "table",
        tag("caption", caption, class_="hidden"),
        tag("thead", tag("tr", *heads)),
        tag("tbody", *rows),
        **attributes,
    )
    return tag("div", whole, class_="scroll", tabindex="0", role="group", aria_label=caption)


def head(text: str, **attributes: object) -> Markup:
    """Return the head of a column."""
    return tag("th", text, scope="col", **attributes)


def _escaped(text: str) -> str:
    return escape(_HIDDEN.sub(lambda found: ascii(found[0])[1:-1], text))


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{_escaped(str(value))}"'
