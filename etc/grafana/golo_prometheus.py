"""The dashboard for Prometheus: samples that agents write, and those scraped from them."""

from __future__ import annotations

import texts
from layout import Prometheus, dashboard, picker
from panels import Json, Target, chart, heatmap, stat, states, values

AGENT = 'instance=~"$instance"'
STATES = {"0": ("ok", "green"), "1": ("retrying", "yellow"), "2": ("holding", "red")}


def last(metric: str) -> str:
    """Return a counter at the end of a run, exactly, if the time range has the end."""
    return f'sum(last_over_time({metric}{{run="$run"}}[$__range]))'


def rate(metric: str, by: str = "") -> str:
    """Return a counter of a run per second."""
    return f'sum{by}(rate({metric}{{run="$run"}}[$__rate_interval]))'


def histogram(metric: str, function: str, span: str) -> str:
    """Return a native histogram of a run, or a classic one if there is no native one."""
    native = f'sum({function}({metric}{{run="$run"}}[{span}]))'
    classic = f'sum by (le)({function}({metric}_bucket{{run="$run"}}[{span}]))'
    return f"{native} or on () {classic}"


def quantiles(metric: str, function: str, span: str) -> list[Target]:
    """Return the percentiles of a histogram of a run."""
    return [
        Target(f"histogram_quantile({q / 100}, {histogram(metric, function, span)})", name)
        for name, q in texts.QUANTILES.items()
    ]


def output(metric: str, more: str = "") -> Target:
    """Return a gauge of the outputs of the chosen agents."""
    query = f"sum by (instance, output)(golo_agent_output_{metric}{{{AGENT}}})"
    return Target(query, f"{{{{instance}}}} {{{{output}}}}{more}")


def agent_rate(metric: str, by: str) -> str:
    """Return a counter of the chosen agents per second."""
    return f"sum by (instance, {by})(rate(golo_agent_{metric}{{{AGENT}}}[$__rate_interval]))"


def state() -> str:
    """Return 0 for an output that is ok, 1 for one that retries and 2 for one that holds."""
    retrying, holding = (
        f'golo_agent_output_state{{{AGENT}, state="{name}"}}' for name in ("retrying", "holding")
    )
    return f"max by (instance, output)({retrying} + ignoring(state) 2 * {holding})"


def run() -> list[Json]:
    """Return the numbers of the whole run."""
    share = f"{last('golo_result_errors_total')} / {last('golo_results_total')}"
    dropped = last("golo_calls_dropped_total")
    durations = quantiles("golo_duration_seconds", "increase", "$__range")
    bad, none = texts.BAD_SHARE, texts.NONE_IS_GOOD
    return [
        stat("Results", texts.RESULTS, last("golo_results_total"), width=4),
        stat("Error rate", texts.ERRORS, share, width=4, unit="percentunit", steps=bad),
        stat("Dropped calls", texts.DROPPED, dropped, width=4, steps=none),
        stat("Percentiles of the run", texts.PERCENTILES, durations, width=12, unit="s"),
    ]


def load() -> list[Json]:
    """Return what was planned and what was done."""
    calls = [
        Target('sum(golo_planned{run="$run", model="open"})', "planned"),
        Target(rate("golo_calls_started_total"), "started"),
        Target(rate("golo_calls_ok_total"), "succeeded"),
        Target(rate("golo_calls_failed_total"), "failed"),
        Target(rate("golo_calls_dropped_total"), "dropped"),
    ]
    users = [
        Target('sum(golo_planned{run="$run", model="closed"})', "planned users"),
        Target('sum(golo_calls_in_flight{run="$run"})', "in flight"),
    ]
    results = [Target(rate("golo_results_total", " by (instance)"), "{{instance}}")]
    size = [Target(rate("golo_result_bytes_total", " by (instance)"), "{{instance}}")]
    return [
        chart("Planned and actual load", texts.LOAD, calls, unit="iops"),
        chart("Users and calls in flight", texts.IN_FLIGHT, users),
        chart("Results by agent", "Results that each agent has read.", results, unit="reqps"),
        chart("Received bytes by agent", texts.BYTES, size, unit="Bps"),
    ]


def latency() -> list[Json]:
    """Return how long results and iterations took."""
    results = ("golo_duration_seconds", "rate", "$__rate_interval")
    iterations = ("golo_iteration_seconds", "rate", "$__rate_interval")
    due = "From the moment at which a call was due to its return, with the time that it waited."
    return [
        heatmap("Durations of results", texts.HEAT, [Target(histogram(*results), "{{le}}")]),
        chart("Percentiles of results", texts.DURATIONS, quantiles(*results), unit="s"),
        chart("Percentiles of iterations", due, quantiles(*iterations), unit="s"),
    ]


def errors() -> list[Json]:
    """Return what failed."""
    kinds = [
        Target(rate("golo_result_errors_total"), "results with errors"),
        Target(rate("golo_calls_failed_total"), "failed calls"),
        Target(rate("golo_lines_invalid_total"), "invalid lines"),
    ]
    share = f"{rate('golo_result_errors_total')} / {rate('golo_results_total')}"
    return [
        chart(
            "Errors",
            "Results with errors, calls that the load test failed, and lines that are no results.",
            kinds,
            unit="cps",
        ),
        chart("Error rate over time", texts.ERRORS, [Target(share, "errors")], unit="percentunit"),
    ]


def generator() -> list[Json]:
    """Return when the load generator was the limit."""
    lag = f"histogram_quantile(0.99, {agent_rate('event_loop_lag_seconds_bucket', 'le')})"
    # A limit in any second of a step; a step without a sample continues the previous one.
    series = 'golo_limited{run="$run"}'
    limits = f"max by (cause)(max_over_time({series}[$__interval]) or {series})"
    return [
        states(
            "Limits of the load generator",
            texts.LIMITED,
            [Target(limits, "{{cause}}")],
            mappings=values({"0": ("no", "green"), "1": ("limit", "red")}),
        ),
        chart(
            "Event loop lag of the agents",
            "The 99th percentile. Above 0.1 s the agent is too busy to measure.",
            [Target(lag, "{{instance}}")],
            unit="s",
        ),
    ]


def delivery() -> list[Json]:
    """Return the state of the outputs, from /metrics of the agents."""
    name = "{{instance}} {{output}}"
    rates = [Target(agent_rate("output_delivered_total", "output"), name)]
    lost = [output("rejected_total", " rejected"), output("abandoned_total", " abandoned")]
    pushes = agent_rate("output_push_seconds_bucket", "output, le")
    times = [Target(f"histogram_quantile(0.95, {pushes})", name)]
    return [
        states(
            "State of the outputs",
            "Retrying: the backend is down or busy. Holding: a setting is wrong; see GET /health.",
            [Target(state(), name)],
            mappings=values(STATES),
        ),
        chart(
            "Lag of the outputs",
            "The age of the oldest result that an output has not delivered.",
            [output("lag_seconds")],
            unit="s",
        ),
        chart(
            "Pending results",
            "Results that an output has not delivered. They are in the logs of the runs.",
            [output("pending")],
        ),
        chart("Delivered results", "Results in a second, by output.", rates, unit="cps"),
        chart(
            "Rejected and abandoned results",
            "Results that a backend refused, or that were given up, since the start of the agent.",
            lost,
        ),
        chart(
            "Response times of the backends",
            "The 95th percentile, from sending a batch to the response.",
            times,
            unit="s",
        ),
    ]


def render() -> Json:
    """Return the dashboard."""
    return dashboard(
        Prometheus(),
        "golo: load tests (Prometheus)",
        "Runs: samples of an output prometheus+http. Delivery: scraped from the agents.",
        [
            picker("name", "Job", "label_values(golo_planned, name)"),
            picker("run", "Run", 'label_values(golo_planned{name="$name"}, run)'),
            picker("instance", "Agents", "label_values(golo_agent_ready, instance)", several=True),
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
