"""Successes with a web page, as that of a login in the place of a backend."""

from __future__ import annotations

import pytest

from goloagent.outputs.sink import Disposition, Response


@pytest.mark.parametrize(
    "begin", ["", "\n", "\ufeff", "<!-- a\n-->\n<!---->", '<?xml version="1"?>\n']
)
@pytest.mark.parametrize("tag", ["<!DOCTYPE html>", "<html lang=en>", "<HEAD>"])
def test_pages(begin: str, tag: str) -> None:
    """A page is recognised by its first tag."""
    response = Response(200, text=f"{begin}{tag}<title>Log in</title>").unless_page()
    assert response.disposition is Disposition.PAUSE


@pytest.mark.parametrize("text", ["", "ok", "<!--" * 9999, "<!---->" * 9999, "<htmls>", "{}"])
def test_other_texts_are_no_pages(text: str) -> None:
    """That is found at once, however long a text is."""
    assert Response(200, text=text).unless_page().disposition is Disposition.DELIVERED
