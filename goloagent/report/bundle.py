"""Bundles the report's scripts, which are ES modules, into one script without imports."""

from __future__ import annotations

import re
from collections.abc import Callable

_IMPORT = re.compile(r'^import \{ (.+?) \} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:function\*?|class|const) (\w+))", re.MULTILINE)


def bundle(main: str, read: Callable[[str], str]) -> str:
    """Return a script that runs a module after all modules that it needs.

    Args:
        read: returns the text of a module by its name.
    """
    modules: dict[str, str] = {}

    def add(name: str) -> None:
        text = read(name)
        for _, needed in _IMPORT.findall(text):
            if needed not in modules:
                add(needed)
        names = ", ".join(_EXPORT.findall(text))
        body = _EXPORT.sub("", _IMPORT.sub(r"const { \1 } = \2_module;\n", text))
        # A module is a function, so that names in it do not clash with those of others.
        modules[name] = f"const {name}_module = (() => {{\n{body}\nreturn {{ {names} }};\n}})();\n"

    add(main)
    return '"use strict";\n' + "".join(modules.values())
