"""Serve the web page at ``/``: static files of this package, held in memory.

Their Content-Security-Policy makes the browser load and run these files only.
"""

from __future__ import annotations

from importlib.resources import files

import attrs

from goloagent.http.api.endpoint import Response, endpoint
from goloagent.http.api.representation import Representation, serve
from goloagent.http.problem import not_found
from goloagent.http.server.request import Request

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
SHARED = ("base.css", "chart.js", "dom.js", "format.js", "icon.svg", "samples.js", "scale.js")
"""Files of `goloagent.report`."""

_UNCHANGED = Response("The file has the ETag in If-None-Match.", media_type="")
_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self'",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
    # The browser refuses to make markup or code of a string, such as the output of a load test.
    "require-trusted-types-for": "'script'",
    "trusted-types": "'none'",
}
HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in _POLICY.items()),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # The browser revalidates its copy on each use because the agent may have been upgraded.
    "Cache-Control": "no-cache",
}


def assets() -> dict[str, Representation]:
    """Return the files of the page by name, with those that it shares with reports."""
    shared = files("goloagent.report").joinpath("page")
    found = [*files("goloagent.http.ui").joinpath("page").iterdir(), *map(shared.joinpath, SHARED)]
    media_types = {file: _TYPES.get(file.name.rpartition(".")[2]) for file in found}
    return {
        file.name: Representation(file.read_bytes(), media_type)
        for file, media_type in media_types.items()
        if media_type is not None
    }


@attrs.frozen
class PageRoutes:
    """The page at ``/`` and its files below ``/page/``."""

    files: dict[str, Representation] = attrs.field(factory=assets)

    @endpoint("GET", "/", {200: Response("The page.", media_type=_TYPES["html"]), 304: _UNCHANGED})
    def get_page(self, request: Request) -> bytes:
        """Serve the web page."""
        return self._serve(request, "index.html")

    @endpoint(
        "GET",
        "/page/<name>",
        {
            200: Response(
                "A script, a style sheet or an image.",
                media_type=_TYPES["js"],
                other_types=(_TYPES["css"], _TYPES["html"], _TYPES["svg"]),
            ),
            304: _UNCHANGED,
        },
        errors={404: "The page has no such file."},
    )
    def get_part(self, request: Request, name: str) -> bytes:
        """Serve a file of the web page."""
        return self._serve(request, name)

    def _serve(self, request: Request, name: str) -> bytes:
        asset = self.files.get(name)
        if asset is None:
            raise not_found(request.path)
        for header, value in HEADERS.items():
            request.setHeader(header, value)
        return serve(request, asset)
