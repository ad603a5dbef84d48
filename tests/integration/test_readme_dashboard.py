"""A user's hour: the README's steps alone lead to a run's numbers in Debian's Prometheus."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from peers.readme import ROOT, SYSTEM_PATH

# In namespaces of its own, so that the README's ports are free and its files are not the host's.
NAMESPACES = ["unshare", "--net", "--mount", "--mount-proc", "--pid", "--fork", "--kill-child"]
if os.geteuid():
    NAMESPACES.append("--map-root-user")
TOOLS = {"prometheus": "prometheus", "promtool": "prometheus", "unshare": "util-linux"}
TOOLS |= {"ip": "iproute2", "curl": "curl"}

# Stands for an empty machine: what is installed is there already, and systemd is not.
MACHINE = r"""
set -euo pipefail
ip link set lo up
: > defaults
mount --bind defaults /etc/default/prometheus
sudo() { "$@"; }
apt() { [ "$1 $2" = "install prometheus" ]; }
pip() { [ "$1" = install ]; [[ $EXTRAS == *" $2 "* ]]; }
systemctl() {
    [ "$*" = "restart prometheus" ]
    . /etc/default/prometheus
    echo 'global: {scrape_interval: 15s}' > prometheus.yml
    prometheus --config.file=prometheus.yml --storage.tsdb.path=data $ARGS > prometheus.log 2>&1 &
    curl -s --retry 60 --retry-delay 1 --retry-all-errors -o ready http://localhost:9090/-/ready
}
golo() { "$PYTHON" -m goloagent.client "$@" --json run.json; }
"$PYTHON" -m http.server 8000 > target.log 2>&1 &
curl -s --retry 60 --retry-delay 1 --retry-all-errors -o ready http://localhost:8000/
"""


def steps() -> list[str]:
    """Return the commands of the README's section."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.partition("## Numbers in a dashboard\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"(?:^    .*\n)+", section, re.MULTILINE)
    commands = re.sub(r"(?m)^    ", "", "".join(blocks))
    return re.sub(r"\\\n\s*|(?<=\|)\n\s*", " ", commands).splitlines()


def extras() -> list[str]:
    """Return the names of the package's extras."""
    return re.findall(r'(?m)^ +"(\w+)": \[', (ROOT / "setup.py").read_text())


def test_the_numbers_of_a_run(tmp_path: Path) -> None:
    """The two queries at the end return the results of the run and their percentile."""
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool} (Debian: {package}): the steps cannot be run")
    if subprocess.run([*NAMESPACES, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no namespaces: the README's ports may be in use")
    *before, results, percentile = steps()
    assert len(before) == 6
    script = tmp_path / "steps.sh"
    script.write_text(
        "\n".join([MACHINE, *before, f"{results} > results", f"{percentile} > percentile", ""])
    )
    done = subprocess.run(
        [*NAMESPACES, "bash", str(script)],
        cwd=tmp_path,
        env={
            "PATH": f"{os.environ['PATH']}:{SYSTEM_PATH}",
            "HOME": str(tmp_path),
            "PYTHON": sys.executable,
            "EXTRAS": f" {' '.join(f'golo-agent[{name}]' for name in extras())} ",
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = json.loads((tmp_path / "run.json").read_text())
    count, duration = (value(tmp_path / name) for name in ("results", "percentile"))
    assert count == run["results"]["valid"] == 2000
    assert duration == pytest.approx(run["latency"]["duration"]["p95"], rel=0.005)


def value(file: Path) -> float:
    """Return the one value that promtool has printed."""
    (found,) = re.findall(r"=> (\S+) @", file.read_text())
    return float(found)
