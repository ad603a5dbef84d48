"""The container image's layout and start, in kernel namespaces instead of a container engine.

/opt/golo-agent, the directories and the user are made as in etc/Dockerfile, whose ENTRYPOINT and
HEALTHCHECK are run with the system's Python.
"""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
from peers.debian import run
from peers.readme import ROOT, SYSTEM_PATH

pytestmark = pytest.mark.full
DOCKERFILE = (ROOT / "etc" / "Dockerfile").read_text(encoding="utf-8")
SECRET = "/run/secrets/golo-agent-token"
TOKEN = "a-token-of-the-test"
# An address of the container that is not loopback, as for -p.
OUTSIDE = "10.81.81.81"
START_SECONDS, STOP_SECONDS = 60, 40

INSTALL = """
mount --bind "$1" /opt
/usr/bin/python3 -m venv --without-pip /opt/golo-agent
"$2" -m pip --python /opt/golo-agent/bin/python install --quiet --disable-pip-version-check "$3"
install -m 755 "$4" /opt/golo-agent/bin/entrypoint
/opt/golo-agent/bin/twistd --help >/dev/null
"""
CONTAINER = """
opt=$1 notify=$2
shift 2
mount --bind "$opt" /opt
mount -t tmpfs -o mode=755 none /var/lib
mount -t tmpfs -o mode=755 none /var/log
mount -t tmpfs -o mode=755 none /run
install -d -o 10081 -g 10081 /var/lib/golo-agent /var/log/loadtest-agent
mkdir /run/secrets
ip link set lo up
ip address add {outside}/32 dev lo
{setup}
cd /var/lib/golo-agent
exec setpriv --reuid 10081 --regid 10081 --clear-groups env -i PATH={path} \
    HOME=/var/lib/golo-agent NOTIFY_SOCKET="$notify" "$@"
"""
MOUNT_TOKEN = f"""
echo {TOKEN} > {SECRET}
chown 10081 {SECRET}
chmod 400 {SECRET}
"""


def instruction(name: str) -> list[str]:
    """Return the JSON array of an instruction of the Dockerfile."""
    joined = DOCKERFILE.replace("\\\n", "")
    [array] = re.findall(rf"^{name}\b.*?(\[.*\])$", joined, re.M)
    words = json.loads(array)
    assert isinstance(words, list)
    return words


@attrs.frozen
class Container:
    """A running or ended container; `ready` is whether the agent became ready."""

    process: subprocess.Popen[bytes]
    log: Path
    ready: bool

    @property
    def printed(self) -> str:
        """Its output."""
        return self.log.read_text()

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the container as root."""
        enter = ["nsenter", f"--target={self.process.pid}", "--mount", "--net", "--wd=/"]
        return subprocess.run([*enter, *command], capture_output=True, text=True, check=False)

    def health(self, host: str, token: str = "") -> str:
        """Return the status of GET /health, or 000 if nothing listens."""
        header = ["--header", f"Authorization: Bearer {token}"] if token else []
        url = f"http://{host}:8081/health"
        command = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}"]
        return self.run(*command, *header, url).stdout

    def is_healthy(self) -> bool:
        """Run the health check of the image as its user."""
        setpriv = ["setpriv", "--reuid", "10081", "--regid", "10081", "--clear-groups"]
        return self.run(*setpriv, *instruction("HEALTHCHECK")).returncode == 0


@attrs.frozen
class Image:
    """The content of /opt in the image."""

    opt: Path

    @contextmanager
    def run(self, *options: str, setup: str = "") -> Iterator[Container]:
        """Run a container until it is ready or has ended; stop it in the end."""
        notify_path = self.opt / "notify"
        notify_path.unlink(missing_ok=True)
        log_path = self.opt / "log"
        script = CONTAINER.format(outside=OUTSIDE, setup=setup, path=SYSTEM_PATH)
        command = ["unshare", "--mount", "--net", "--propagation=private", "/bin/sh", "-ec", script]
        entrypoint = [*instruction("ENTRYPOINT"), *options]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, log_path.open("wb") as log:
            notify.bind(str(notify_path))
            notify_path.chmod(0o777)
            process = subprocess.Popen(
                [*command, "sh", str(self.opt), "/opt/notify", *entrypoint], stdout=log, stderr=log
            )
            try:
                yield Container(process, log_path, _is_ready(notify, process))
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
                    assert process.wait(STOP_SECONDS) == 0, log_path.read_text()
            finally:
                process.kill()
                process.wait()


def _is_ready(notify: socket.socket, process: subprocess.Popen[bytes]) -> bool:
    """Return whether the agent became ready; False if it ended."""
    ended = os.pidfd_open(process.pid)
    try:
        while notify in select.select([notify, ended], [], [], START_SECONDS)[0]:
            if b"READY=1" in notify.recv(4096):
                return True
        process.wait(START_SECONDS)
        return False
    finally:
        os.close(ended)


@pytest.fixture(scope="module")
def image(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Make /opt as the Dockerfile does."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount what a container has")
    tools = ["curl", "ip", "nsenter", "setpriv", "unshare"]
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"these programs are missing: {' '.join(missing)}")
    opt = tmp_path_factory.mktemp("opt")
    opt.chmod(0o755)
    [wheel] = dist.glob("*.whl")
    entrypoint = ROOT / "etc" / "entrypoint.sh"
    unshare = ["unshare", "--mount", "--propagation=private", "/bin/sh", "-ec", INSTALL, "sh"]
    run(*unshare, opt, sys.executable, wheel, entrypoint)
    return Image(opt)


def test_with_a_token(image: Image, packed_example: str) -> None:
    """With a mounted token the agent is reachable, healthy, and runs load tests."""
    with image.run("--allow-from", f"{OUTSIDE}/32", setup=MOUNT_TOKEN) as container:
        assert container.ready, container.printed
        assert container.health(OUTSIDE, TOKEN) == "200"
        assert container.health(OUTSIDE) == "401"
        assert container.is_healthy()
        example = shlex.join([sys.executable, "-m", "peers.readme"])
        url = f"http://{OUTSIDE}:8081"
        ran = container.run(
            "/bin/sh", "-c", f"cd {ROOT}/tests && exec {example} {url} {TOKEN} {packed_example}"
        )
        assert ran.returncode == 0, f"{ran.stderr}\n{container.printed}"


def test_without_a_token(image: Image) -> None:
    """Without a token the agent listens on the container's loopback, and logs what to mount."""
    with image.run() as container:
        assert container.ready, container.printed
        assert f"mount a token at {SECRET}" in container.printed
        assert container.health(OUTSIDE) == "000"
        assert container.health("127.0.0.1") == "200"
        assert container.is_healthy()


def test_no_auth(image: Image) -> None:
    """--no-auth makes the agent reachable without a token."""
    with image.run("--no-auth") as container:
        assert container.ready, container.printed
        assert container.health(OUTSIDE) == "200"


def test_another_listener(image: Image) -> None:
    """--listen replaces the default listener, and requires the token too."""
    with image.run("--listen=tcp:8082:interface=0.0.0.0", setup=MOUNT_TOKEN) as container:
        assert container.ready, container.printed
        assert container.health("127.0.0.1") == "000"
        answer = container.run("curl", "--silent", f"http://{OUTSIDE}:8082/health")
        assert "token" in answer.stdout


@pytest.mark.parametrize(
    ("setup", "path"),
    [
        ("chown root /var/log/loadtest-agent", "/var/log/loadtest-agent"),
        ("chown root /var/lib/golo-agent", "/var/lib/golo-agent"),
        (f"{MOUNT_TOKEN}chown root {SECRET}", SECRET),
    ],
    ids=["logs", "state", "token"],
)
def test_a_mount_of_root(image: Image, setup: str, path: str) -> None:
    """One line names the option, the path and the reason; the exit code is 1."""
    with image.run(setup=setup) as container:
        assert not container.ready
        assert container.process.returncode == 1
        lines = [line for line in container.printed.splitlines() if line.startswith("golo-agent:")]
        assert path in lines[-1]
        assert "Permission denied" in lines[-1]


def test_version(image: Image) -> None:
    """Options of the container are those of the agent."""
    with image.run("--version", setup=MOUNT_TOKEN) as container:
        assert container.process.returncode == 0
        assert re.fullmatch(r"golo-agent \d+\.\d+\.\d+\n", container.printed)
