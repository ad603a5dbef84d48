"""``golo-agent`` and ``python -m goloagent``: ``twistd golo-agent`` in the foreground."""

import sys

from twisted.scripts.twistd import run


def main() -> None:
    """Run the agent with the options of the command line."""
    sys.argv[1:1] = ["--nodaemon", "--pidfile=", "golo-agent"]
    run()


if __name__ == "__main__":
    main()
