"""The interface through which a sink posts to a backend over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from goloagent.outputs.sink import Disposition, Response


class Poster(Protocol):
    """Posts bodies to one backend."""

    async def post(
        self, path: str, body: bytes, content_type: str, headers: Mapping[str, str]
    ) -> Response:
        """Post a body; return the response, or that of a failure."""

    async def check(self) -> str | None:
        """Return why the backend cannot be reached, or None."""

    async def close(self) -> None:
        """Close the connections."""


_ADVICE = {
    401: "correct token-file or password-file of the output",
    403: "permit the output's token or user to write",
    407: "correct the user and the password in HTTP_PROXY or HTTPS_PROXY",
    415: "add gzip=no to the output's URL, or correct its path",
}


def located(response: Response, nothing: str) -> Response:
    """Return a response with what to do if a setting is wrong.

    Args:
        nothing: what is missing if there is nothing at the path of the URL.
    """
    code = response.status
    if code is None or response.disposition is not Disposition.PAUSE:
        return response
    advice = _ADVICE.get(code)
    if code in (404, 405):
        advice = f"there is {nothing} at this address and path; correct the output's URL"
    elif 300 <= code < 400:
        advice = "redirects are not followed; correct the output's URL"
    if advice is None:
        return response
    words = " ".join(response.text[:200].split()).removeprefix(str(code)).strip()
    return Response.wrong(f"{code} {words}".strip() + f": {advice}")
