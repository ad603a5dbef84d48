"""The page at ``/`` for people: files of this package, in memory, told apart by their names.

They are served under a policy that lets a browser take nothing from anywhere else and run nothing
that is not one of them. Does not know what the page does: it is a client of the API like any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

import attrs

from goloagent.http.api.endpoint import Reply, operation
from goloagent.http.api.representation import Representation, serve
from goloagent.http.problem import not_found
from goloagent.http.server.request import Request

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_UNCHANGED = Reply("It is what the ETag in If-None-Match names.", media_type="")
_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    # No string becomes markup, whatever a load test has printed.
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Kept by the browser, and asked for again each time: an agent may be upgraded under a page.
    "Cache-Control": "no-cache",
}


def assets() -> dict[str, Representation]:
    """Return the files of the page by name."""
    return dict(_read())


def _read() -> Iterator[tuple[str, Representation]]:
    for file in files("goloagent.http.ui").joinpath("page").iterdir():
        media_type = _TYPES.get(file.name.rpartition(".")[2])
        if media_type is not None:
            yield file.name, Representation(file.read_bytes(), media_type)


@attrs.frozen
class PageRoutes:
    """``/`` and what it is made of."""

    files: dict[str, Representation] = attrs.field(factory=assets)

    @operation("GET", "/", {200: Reply("The page.", media_type=_TYPES["html"]), 304: _UNCHANGED})
    def get_page(self, request: Request) -> bytes:
        """Show what the agent does, for people."""
        return self._serve(request, "index.html")

    @operation(
        "GET",
        "/page/<name>",
        {
            200: Reply(
                "A script, a style sheet or an image.",
                media_type=_TYPES["js"],
                other_types=(_TYPES["css"], _TYPES["html"], _TYPES["svg"]),
            ),
            304: _UNCHANGED,
        },
        errors={404: "The page has no such part."},
    )
    def get_part(self, request: Request, name: str) -> bytes:
        """Serve a part of the page."""
        return self._serve(request, name)

    def _serve(self, request: Request, name: str) -> bytes:
        asset = self.files.get(name)
        if asset is None:
            raise not_found(request.path)
        for header, value in HEADERS.items():
            request.setHeader(header, value)
        return serve(request, asset)
