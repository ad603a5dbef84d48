"""Texts, percentiles and thresholds of both dashboards."""

from __future__ import annotations

BAD_SHARE = ((None, "green"), (0.001, "yellow"), (0.01, "red"))
NONE_IS_GOOD = ((None, "green"), (1, "red"))
QUANTILES = {"50th": 50, "95th": 95, "99th": 99}

RESULTS = "Results of the load test: one for each request."
ERRORS = "The share of results with an error, or with a status that is one."
DROPPED = "Calls that were due and not made, because `max_in_flight` calls were in flight."
PERCENTILES = "Durations of all results of the run."
LOAD = (
    "Calls of the load test in a second. Planned is the arrival rate of the open model, of which"
    " each call is started or dropped; the closed model plans users."
)
IN_FLIGHT = "Calls that have not returned. Planned is the number of users of the closed model."
HEAT = "The number of results in a second, by their duration."
DURATIONS = "Durations that the load test measured."
LIMITED = "Seconds in which the load generator was the limit: do not blame the target for them."
BYTES = "The sizes of the responses in a second."
