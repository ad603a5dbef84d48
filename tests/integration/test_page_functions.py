"""The pure functions of the page's scripts, run in Chromium as they are served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from peers.agent import Agent
from peers.browser import Browser
from peers.page import visit

if TYPE_CHECKING:
    from playwright.sync_api import Page

LINE_PATH = """({ linePath }) => {
    const at = (...ends) => ends.map((end) => ({ begin: end - 1, end, value: 1 }));
    const missing = [...at(1), { begin: 1, end: 2, value: null }, ...at(3)];
    const minutes = [60, 120, 240].map((end) => ({ begin: end - 60, end, value: 1 }));
    const draw = (samples) => linePath(samples, "value", (x) => x, (value) => value);
    return [at(1, 2, 3), at(1, 2, 9, 10), missing, minutes, []].map(draw);
}"""
SCALES = """({ roundStep, timeStep, chartRange, thin }) => [
    [0.3, 1, 1.1, 24.5, 990].map(roundStep),
    [timeStep(30, 6), timeStep(3600, 8)],
    [[336, 600, false], [336, 336, true], [0, 6, false], [7, 6, false]]
        .map((of) => chartRange(...of)),
    thin([1, 5, 2, null].map((p95, n) => ({ begin: n, end: n + 1, p95 })), 2),
]"""
URLS = """({ commonPrefix, cutMiddle, shortUrl }) => {
    const api = "http://127.0.0.1:8000/api/v1/";
    return [
        ...[[`${api}a`, `${api}b/c`], [`${api}a`], ["/a", "/b"]].map(commonPrefix),
        cutMiddle("abcdefghij", 7), shortUrl(`${api}orders/1`, api, 40), shortUrl("/x", api, 40),
    ];
}"""
ADDRESSES = """({ parseAddress, formatAddress }) => [
    parseAddress("#1f-2&page=3&name=a%26b"), parseAddress("#job"), parseAddress("#page=-1&x=1"),
    formatAddress({ id: "1f-2", page: 1, name: "a&b", state: "" }),
    formatAddress({ id: "", page: 2 }),
]"""
PLANS = """({ planSamples, planText }) => {
    const stages = [{ rate: 100, duration: 10 }, { rate: 0, duration: 0 }];
    const load = { model: "open", start: 0, stages };
    const users = { users: 25, duration: 60 };
    const ends = (job, range) => planSamples(job, range).map(({ end, planned }) => [end, planned]);
    return [
        ends({ load, duration: 10 }, 10), ends({ load, duration: 10 }, 5), ends(users, 60),
        planText({ load, duration: 10 }), planText(users), planText({ ...users, drive: "self" }),
    ];
}"""
CHECKS = """({ checkValue }) => [
    ["duration", "p(95)<250ms", 0.2514], ["http_req_failed{url:/cart}", "rate<1%", 0.5],
    ["results", "count>10", 12], ["iterations", "rate>=500", 499.96], ["errors", "rate<1%", 0],
    ["bytes", "rate<1MB", 2048], ["duration", "max<1s", null], ["limited", "value<1", 3],
].map(([metric, threshold, value]) => checkValue({ metric, threshold, value }))"""
REQUESTS = """({ buildRequest }) => {
    const form = { name: " shop ", model: "closed", users: "25", rate: "100", duration: "60",
        stages: "", start: "", arrivals: "even", when_full: "drop", max_in_flight: "",
        graceful_stop: "", seed: "", thresholds: "", abort: false, delay: "", over: "", args: "",
        env: "", tags: "", drive: "netrpc", share_index: "", share_of: "", run: "" };
    const build = (changes) => {
        try { return buildRequest({ ...form, ...changes }); }
        catch ({ field, message }) { return { field, message }; }
    };
    return [
        build({}),
        build({ model: "open", duration: "5m", rate: "0.5" }),
        build({ model: "open", stages: "30s: 100\\n\\n 5m : 2000.5", start: "10",
            when_full: "wait" }),
        build({ model: "open", arrivals: "poisson", max_in_flight: "50", graceful_stop: "30s",
            seed: "7" }),
        build({ drive: "self", args: "--cart\\n3", env: "A=b=c\\nD=", tags: "release=1",
            thresholds: "duration{url:/a,status:5*}: p(95)<250ms\\nerrors: rate<1%", abort: true }),
        build({ duration: "1d", share_of: "3", run: "0d1f", over: "10s", delay: "9s",
            thresholds: "errors: rate < 1% over 5s abort delay 30\\nresults: rate>2 delay" }),
        build({ abort: true, delay: "9s", thresholds: "errors: rate<1%", seed: "9".repeat(16) }),
        build({ model: "open", arrivals: "poisson", seed: "9".repeat(16) }),
        build({ duration: "soon" }), build({ stages: "100" }), build({ env: "A" }),
        build({ thresholds: "p95<1" }),
    ];
}"""


async def evaluate(agent: Agent, browser: Browser, module: str, function: str) -> Any:
    """Return what a function makes of the exports of a module of the page."""

    def scenario(page: Page) -> Any:
        visit(page, agent)
        return page.evaluate(f"async () => ({function})(await import('./page/{module}.js'))")

    return await browser.run(scenario)


async def test_charts(agent: Agent, browser: Browser) -> None:
    """Lines break at gaps of any window length; ranges and steps fit; thinning keeps peaks."""
    assert await evaluate(agent, browser, "scale", LINE_PATH) == [
        "M1.0 1.0h0L2.0 1.0L3.0 1.0",
        "M1.0 1.0h0L2.0 1.0M9.0 1.0h0L10.0 1.0",
        "M1.0 1.0h0M3.0 1.0h0",
        "M60.0 1.0h0L120.0 1.0M240.0 1.0h0",
        "",
    ]
    assert await evaluate(agent, browser, "scale", SCALES) == [
        [0.5, 1, 2, 25, 1000],
        [5, 600],
        [390, 336, 6, 7],
        [{"begin": 0, "end": 2, "p95": 5}, {"begin": 2, "end": 4, "p95": 2}],
    ]


async def test_texts(agent: Agent, browser: Browser) -> None:
    """URLs lose what they share, addresses keep ids and filters, values have units."""
    assert await evaluate(agent, browser, "url", URLS) == [
        "http://127.0.0.1:8000/api/v1/",
        "",
        "",
        "ab…ghij",
        "/orders/1",
        "/x",
    ]
    nothing = {"id": "", "page": 1, "state": "", "name": ""}
    assert await evaluate(agent, browser, "address", ADDRESSES) == [
        {"id": "1f-2", "page": 3, "state": "", "name": "a&b"},
        nothing,
        nothing,
        "#1f-2&name=a%26b",
        "#page=2",
    ]
    assert await evaluate(agent, browser, "verdict", CHECKS) == [
        "251 ms",
        "50.0 %",
        "12",
        "500/s",
        "0 %",
        "2.00 KiB/s",
        "no data",
        "3 s",
    ]


async def test_plans(agent: Agent, browser: Browser) -> None:
    """A plan is drawn as ramps, jumps and constants, cut at the end of the chart."""
    assert await evaluate(agent, browser, "plan", PLANS) == [
        [[0, 0], [10, 100], [10, 0], [10, 0]],
        [[0, 0], [5, 50]],
        [[0, 25], [60, 25]],
        "0 → 100 → 0/s × 10 s",  # noqa: RUF001
        "25 users × 60 s",  # noqa: RUF001
        "not driven × 60 s",  # noqa: RUF001
    ]


async def test_requests(agent: Agent, browser: Browser) -> None:
    """The form's texts become the members of the API; a wrong line is named with its field."""
    *requests, seed, duration, stage, env, threshold = await evaluate(
        agent, browser, "request", REQUESTS
    )
    assert requests == [
        {"name": "shop", "users": 25, "duration": 60},
        {"name": "shop", "rate": 0.5, "duration": "5m"},
        {
            "name": "shop",
            "load": {
                "start": 10,
                "stages": [
                    {"rate": 100, "duration": "30s"},
                    {"rate": 2000.5, "duration": "5m"},
                ],
                "when_full": "wait",
            },
        },
        {
            "name": "shop",
            "load": {
                "start": 100,
                "stages": [{"rate": 100, "duration": 60}],
                "arrivals": "poisson",
                "seed": 7,
                "max_in_flight": 50,
                "graceful_stop": "30s",
            },
        },
        {
            "name": "shop",
            "users": 25,
            "duration": 60,
            "drive": "self",
            "args": ["--cart", "3"],
            "env": {"A": "b=c", "D": ""},
            "tags": {"release": "1"},
            "thresholds": {
                "duration{url:/a,status:5*}": [{"threshold": "p(95)<250ms", "abort": True}],
                "errors": [{"threshold": "rate<1%", "abort": True}],
            },
        },
        {
            "name": "shop",
            "users": 25,
            "duration": "1d",
            "thresholds": {
                "errors": [{"threshold": "rate < 1%", "abort": True, "delay": "30", "over": "5s"}],
                "results": [{"threshold": "rate>2 delay", "over": "10s"}],
            },
            "share": {"of": 3},
            "run": {"id": "0d1f"},
        },
        {
            "name": "shop",
            "users": 25,
            "duration": 60,
            "thresholds": {"errors": [{"threshold": "rate<1%", "abort": True, "delay": "9s"}]},
        },
    ]
    assert seed["field"] == "seed"
    assert duration["field"] == "duration"
    assert "write 60, 90s, 5m or 1h30m" in duration["message"]
    assert (stage["field"], env["field"], threshold["field"]) == ("stages", "env", "thresholds")


@pytest.mark.parametrize("seconds", [4, 7, 13])
async def test_age(agent: Agent, browser: Browser, seconds: int) -> None:
    """Old figures are named from 5 s on, in steps of 5 s."""
    text = await evaluate(agent, browser, "freshness", f"({{ ageText }}) => ageText({seconds}e3)")
    assert text.startswith(
        {4: "", 7: "The figures are more than 5 s", 13: "The figures are more than 10 s"}[seconds]
    )
    assert (text == "") == (seconds == 4)
