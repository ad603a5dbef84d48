"""Serve ``/logout``, which makes a browser forget the token."""

from __future__ import annotations

import attrs

from goloagent.http.api.endpoint import Response, endpoint
from goloagent.http.auth.logout import REPEATED, log_out
from goloagent.http.problem import not_found
from goloagent.http.server.request import Request


@attrs.frozen
class LogoutRoutes:
    """``/logout``; `token` says whether one is required."""

    token: bool

    @endpoint(
        "GET",
        "/logout",
        {
            401: Response(
                "Whether the browser has forgotten the token.",
                media_type="text/html; charset=utf-8",
                other_types=("text/plain; charset=utf-8", "application/problem+json"),
            )
        },
        errors={404: "The agent requires no token."},
    )
    def get_logout(self, request: Request) -> bytes:
        """Make a browser forget the token, by a 401 that does not ask for another one."""
        if not self.token:
            raise not_found(request.path)
        raise log_out(request.uri.partition(b"?")[2] == REPEATED)
