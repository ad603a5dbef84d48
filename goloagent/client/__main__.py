"""``python -m goloagent.client``: the same as ``golo``."""

from goloagent.client.main import main

if __name__ == "__main__":
    main()
