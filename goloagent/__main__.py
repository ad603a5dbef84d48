"""``python -m goloagent OPTIONS``: the same as ``twistd -n --pidfile= golo-agent OPTIONS``."""

import sys

from twisted.scripts.twistd import run

if __name__ == "__main__":
    sys.argv[1:1] = ["--nodaemon", "--pidfile=", "golo-agent"]
    run()
