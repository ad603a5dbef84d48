"""The responses to a browser that is to forget the token.

Browsers send the password of HTTP Basic until a response rejects it: 401 without the challenge
``Basic`` makes Chromium forget it, and not ask for another one.
"""

from __future__ import annotations

import base64
import hashlib

from goloagent.http.problem import Problem

LOGOUT_PATH = b"/logout"
REPEATED = b"again"
"""The query of the request that follows, which shows whether the browser has forgotten it."""

LOGGED_OUT = "you are logged out"
# Another file would need the token, and a request for it would make the browser ask for it.
_STYLE = (
    ":root { background: Canvas; color: CanvasText; font: 16px/1.5 system-ui, sans-serif; }"
    " main { max-width: 34em; margin: 12vh auto; padding: 0 16px; } h1 { font-size: 20px; }"
    " a { color: LinkText; }"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "WWW-Authenticate": "Bearer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}';"
    " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">{more}
<title>{title} · golo-agent</title>
<link rel="icon" href="data:,">
<style>{style}</style>
<main>
<h1>{title}</h1>
<p>{text}</p>
</main>
</html>
"""
_REPEAT = f'\n<meta http-equiv="refresh" content="0; url=?{REPEATED.decode()}">'


def logged_out() -> Problem:
    """Return the response to a request without the token."""
    text = (
        'You are logged out. To log in again, <a href=".">open the page</a>'
        " and enter the token as password, with any user name."
    )
    return _response(LOGGED_OUT, "Logged out", text)


def log_out(is_repeated: bool) -> Problem:
    """Return the response to a request with the token."""
    if not is_repeated:
        return _response("log out: forget the token", "Log out", "Logging out…", _REPEAT)
    text = (
        "You are still logged in, because your browser keeps the token or a proxy sends it."
        " To log out of a browser that keeps it, close all its windows."
    )
    return _response("the token is still sent", "Still logged in", text)


def _response(detail: str, title: str, text: str, more: str = "") -> Problem:
    page = _PAGE.format(title=title, text=text, more=more, style=_STYLE)
    return Problem(401, detail, _HEADERS, page)
