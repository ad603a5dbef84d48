"""The dashboard for InfluxDB: results, and seconds."""

from __future__ import annotations

import texts
from layout import InfluxQL, dashboard, picker
from panels import Json, Target, chart, heatmap, stat, states, table, unit_of, values

# Upper bounds of the rows of the heat map, in seconds.
BOUNDS = [base * 10**power for power in range(-4, 1) for base in (1, 2, 5)] + [10]

TIME = "time($__interval)"
REQUEST = '"method", "url", "status"'
IS_ERROR = '"is_error" = true'


def results(fields: str, by: str = "", where: str = "", of: str = "golo_results") -> str:
    """Return a query of the results of a run: fields, tags to group by, further conditions."""
    more = f" AND {where}" if where else ""
    group = f" GROUP BY {by}" if by else ""
    return f"""SELECT {fields} FROM "{of}" WHERE "run" = '$run' AND $timeFilter{more}{group}"""


def seconds(fields: str, by: str = "", where: str = "") -> str:
    """Return a query of the seconds of a run."""
    return results(fields, by, where, "golo_seconds")


def per_second(count: str) -> str:
    """Return a count of an interval as a rate."""
    return f"{count} * 1000 / $__interval_ms"


def percentiles(by: str = "") -> list[Target]:
    """Return the percentiles of durations."""
    return [
        Target(results(f'percentile("duration", {q})', by), name)
        for name, q in texts.QUANTILES.items()
    ]


def of_agents(field: str, name: str, where: str = "") -> Target:
    """Return the sum over all agents of a gauge that each second has."""
    each = seconds(f'mean("{field}") AS "value"', f'{TIME}, "job"', where)
    query = f'SELECT sum("value") FROM ({each}) WHERE $timeFilter GROUP BY {TIME} fill(none)'
    return Target(query, name)


def heat() -> list[Target]:
    """Return the number of results of each row of the heat map, by its upper bound."""
    rows = []
    for low, high in zip([0, *BOUNDS], [*BOUNDS, None], strict=True):
        where = f'"duration" >= {low:.4f}' + (f' AND "duration" < {high:.4f}' if high else "")
        query = results(per_second('count("duration")'), f"{TIME} fill(0)", where)
        rows.append(Target(query, f"{high:g}" if high else "Inf"))
    return rows


def run() -> list[Json]:
    """Return the numbers of the whole run."""
    share = seconds('sum("errors") / sum("results")')
    bad, none = texts.BAD_SHARE, texts.NONE_IS_GOOD
    return [
        stat("Results", texts.RESULTS, results('count("duration")'), width=4),
        stat("Error rate", texts.ERRORS, share, width=4, unit="percentunit", steps=bad),
        stat("Dropped calls", texts.DROPPED, seconds('sum("dropped")'), width=4, steps=none),
        stat("Percentiles of the run", texts.PERCENTILES, percentiles(), width=12, unit="s"),
    ]


def load() -> list[Json]:
    """Return what was planned and what was done."""
    calls = [
        Target(seconds(per_second(f'sum("{name}")'), f"{TIME} fill(none)"), name)
        for name in ("started", "succeeded", "failed", "dropped")
    ]
    users = [
        of_agents("planned", "planned users", "\"model\" = 'closed'"),
        of_agents("in_flight", "in flight"),
    ]
    statuses = results(per_second('count("duration")'), f'{TIME}, "status" fill(0)')
    sizes = results(per_second('sum("size")'), f'{TIME}, "method", "url" fill(0)')
    return [
        chart(
            "Planned and actual load",
            texts.LOAD,
            [of_agents("planned", "planned", "\"model\" = 'open'"), *calls],
            unit="iops",
        ),
        chart("Users and calls in flight", texts.IN_FLIGHT, users),
        chart(
            "Results by status",
            "Results in a second. Status 0 is no response.",
            [Target(statuses, "$tag_status")],
            unit="reqps",
        ),
        chart(
            "Received bytes by URL",
            texts.BYTES,
            [Target(sizes, "$tag_method $tag_url")],
            unit="Bps",
        ),
    ]


def latency() -> list[Json]:
    """Return how long results and iterations took."""
    iterations = [
        Target(seconds(f'max("iteration_p{q}")', f"{TIME} fill(none)"), name)
        for name, q in texts.QUANTILES.items()
    ]
    urls = results('percentile("duration", 95)', f'{TIME}, "method", "url" fill(none)')
    columns = ", ".join(
        [
            'count("duration") AS "results", mean("duration") AS "mean"',
            *(f'percentile("duration", {q}) AS "{name}"' for name, q in texts.QUANTILES.items()),
            'max("duration") AS "slowest", mean("size") AS "size"',
        ]
    )
    units = [unit_of(name, "s") for name in ("mean", *texts.QUANTILES, "slowest")]
    return [
        heatmap("Durations of results", texts.HEAT, heat(), rows=True),
        chart(
            "Percentiles of results", texts.DURATIONS, percentiles(f"{TIME} fill(none)"), unit="s"
        ),
        chart(
            "Percentiles of iterations",
            "From the moment at which a call was due to its return; the worst second and agent.",
            iterations,
            unit="s",
        ),
        chart(
            "95th percentile by URL",
            texts.DURATIONS,
            [Target(urls, "$tag_method $tag_url")],
            unit="s",
        ),
        table(
            "Requests of the run",
            "Every method, URL and status.",
            results(columns, REQUEST),
            overrides=[*units, unit_of("size", "bytes")],
        ),
    ]


def errors() -> list[Json]:
    """Return what failed."""
    rates = results(per_second('count("duration")'), f"{TIME}, {REQUEST} fill(0)", IS_ERROR)
    columns = 'count("duration") AS "errors", last("error") AS "message"'
    return [
        chart(
            "Errors by method, URL and status",
            "Results with an error, or with a status that is one, in a second.",
            [Target(rates, "$tag_method $tag_url $tag_status")],
            unit="cps",
        ),
        table(
            "Errors of the run",
            "How often each kind of request failed, and its last message.",
            results(columns, REQUEST, IS_ERROR),
        ),
    ]


def generator() -> list[Json]:
    """Return when the load generator was the limit."""
    return [
        states(
            "Limits of the load generator",
            texts.LIMITED,
            [Target(seconds('"limited"', '"agent"'), "$tag_agent")],
            mappings=values({"": ("no", "green")}),
            steps=((None, "red"),),
            width=24,
        )
    ]


def delivery() -> list[Json]:
    """Return how much of what was measured this database has."""
    measured = seconds('cumulative_sum(sum("results"))', f"{TIME} fill(0)")
    stored = results('cumulative_sum(count("duration"))', f"{TIME} fill(0)")
    totals = [
        Target(seconds('sum("results")'), "measured"),
        Target(results('count("duration")'), "stored"),
    ]
    return [
        chart(
            "Measured and stored results",
            "The gap waits in the agents for this database. GET /metrics has the lag and the state"
            " of every output.",
            [Target(measured, "measured"), Target(stored, "stored")],
        ),
        stat(
            "Measured and stored results of the run",
            "They are equal if the run is over and the output has no pending results.",
            totals,
            width=12,
        ),
    ]


def render() -> Json:
    """Return the dashboard."""
    tags = 'SHOW TAG VALUES FROM "golo_results" WITH KEY ='
    return dashboard(
        InfluxQL(),
        "golo: load tests (InfluxDB)",
        "Two outputs fill it: influx+http with results, and a second one with unit=second.",
        [
            picker("name", "Job", f'{tags} "name"'),
            picker("run", "Run", f"""{tags} "run" WHERE "name" = '$name'"""),
        ],
        {
            "Run": run(),
            "Load": load(),
            "Latency": latency(),
            "Errors": errors(),
            "Load generator": generator(),
            "Delivery": delivery(),
        },
    )
