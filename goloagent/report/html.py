"""A report as one HTML file, which makes no request when it is opened."""

from __future__ import annotations

import base64
import re
from functools import cache
from hashlib import sha256
from importlib.resources import files

import msgspec

from goloagent import VERSION
from goloagent.report import codec
from goloagent.report.bundle import bundle
from goloagent.report.markup import Markup, tag
from goloagent.report.model import Report
from goloagent.report.sections import breakdown, measured, verdict
from goloagent.report.sections.baseline import baseline
from goloagent.report.sections.events import events
from goloagent.report.spectrum import spectrum

_PLACE = re.compile(r"\{\{(\w+)\}\}")


def render(report: Report) -> bytes:
    """Return the file; `codec.decode` reads the report from it."""
    style, script = _style(), _script()
    compared = None if report.baseline is None else baseline(report.baseline)
    parts = {
        "policy": Markup(policy()),
        "version": VERSION,
        "title": f"{report.name}: {_word(report)}",
        "icon": _icon(),
        "style": Markup(style),
        "script": Markup(script),
        "header": verdict.header(report),
        "verdict": verdict.verdict(report),
        "notices": verdict.notices(report),
        "tiles": measured.tiles(report),
        "latencies": measured.latencies(report),
        "urls": breakdown.urls(report),
        "errors": breakdown.errors(report),
        "agents": breakdown.agents(report),
        "counts": breakdown.counts(report),
        "baseline": _card("baseline-title", "Compared with the baseline", compared),
        "events": _card("events-title", "Changes and limits", events(report)),
        "data": Markup(f"{codec.OPENING}{codec.encode_for_html(report)}{codec.CLOSING}"),
        "spectrum": _data("spectrum-data", spectrum(report)),
    }
    filled = _PLACE.sub(lambda place: _text(parts[place[1]]), _read("report.html"))
    return filled.encode(errors="replace")


@cache
def policy() -> str:
    """Return the Content-Security-Policy: this file's own style and script, and nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(_script())}'",
            f"style-src '{_hash(_style())}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def _word(report: Report) -> str:
    if report.verdict is None:
        return "no verdict"
    return "passed" if report.verdict.passed else "failed"


def _text(part: str) -> str:
    return part if isinstance(part, Markup) else tag("i", part)[3:-4]


def _card(title_id: str, title: str, content: Markup | None) -> Markup:
    if content is None:
        return Markup()
    heading = tag("h2", title, id=title_id)
    return tag("section", heading, content, class_="card", aria_labelledby=title_id)


def _data(element_id: str, value: object) -> Markup:
    """Return a block of JSON that consists of numbers and known names."""
    encoded = msgspec.json.encode(value).decode()
    return tag("script", Markup(encoded), type="application/json", id=element_id)


@cache
def _style() -> str:
    return "".join(map(_read, ("base.css", "report.css")))


@cache
def _script() -> str:
    return bundle("report", lambda name: _read(f"{name}.js"))


@cache
def _icon() -> str:
    encoded = base64.b64encode(_read("icon.svg").encode()).decode()
    return f"data:image/svg+xml;base64,{encoded}"


@cache
def _read(name: str) -> str:
    return files("goloagent.report").joinpath("page").joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}"
