#!/usr/bin/env bash
# A load test in bash and curl, for small loads: each journey of a user is ten GETs over one
# connection. bash cannot serve calls, so the job has "drive": "self": the agent starts this program
# with GOLO_USERS, and sends SIGTERM at the end.
set -eu
export LC_ALL=C TZ=UTC # a point in EPOCHREALTIME, and timestamps that end with Z
url=${TARGET:-http://127.0.0.1:8000/}
users=${GOLO_USERS:-1}

# Prints one result for each request of a journey, also if it failed.
journey() {
    local status size seconds error now timestamp
    # curl removes #[1-10] from the URL, and repeats the request. It prints the figures on stderr,
    # because it would buffer them on stdout.
    curl --silent --max-time 30 --output /dev/null \
        --write-out '%{stderr}%{http_code} %{size_download} %{time_total} %{errormsg}\n' \
        "$url#[1-10]" 2>&1 >/dev/null |
        while read -r status size seconds error; do
            now=$EPOCHREALTIME
            printf -v timestamp '%(%Y-%m-%dT%H:%M:%S)T.%sZ' "${now%.*}" "${now#*.}"
            error=${error//\\/\\\\}
            [[ -z $error ]] && error=null || error="\"${error//\"/\\\"}\""
            printf '{"sequenceID": "%s", "url": "%s", "method": "GET", "status": %d, "size": %d, "timestamp": "%s", "duration": %d, "error": %s}\n' \
                "$1" "$url" "$((10#$status))" "$size" "$timestamp" "$((10#${seconds/./} * 1000))" "$error"
        done
}

# Repeats journeys until the file `stopped` exists. The last one is completed: each request that the
# target served is a result.
user() {
    local number=0
    trap '' TERM
    until [[ -e stopped ]]; do
        journey "$1-$((++number))"
    done
}

trap 'touch stopped' TERM
for ((i = 0; i < users; i++)); do
    user "$i" &
done
until wait; do :; done # a signal interrupts it
