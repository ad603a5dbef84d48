"""Runs the load test in this file, which `golo pack` made.

It runs on the Python of the agent, 3.8 or newer; older ones print what they need.
"""

import atexit
import json
import os
import runpy
import shutil
import site
import sys
import tempfile
import traceback
import zipfile


def main() -> None:
    """Unpack the load test into `TMPDIR`, which is the job's directory, and run it."""
    directory = tempfile.mkdtemp(prefix="golo-")
    atexit.register(_remove, directory, os.getpid())
    with zipfile.ZipFile(sys.path[0]) as archive:
        about = json.loads(archive.read("golo.json").decode())
        _check_version(about["oldest"])
        for entry in archive.infolist():
            if entry.filename.startswith("program/"):
                path = archive.extract(entry, directory)
                if entry.external_attr >> 16 & 0o100:
                    os.chmod(path, 0o700)  # noqa: PTH101  pathlib is slow to import
    program = os.path.join(directory, "program")  # noqa: PTH118
    script = os.path.join(program, about["script"])  # noqa: PTH118
    # Before PYTHONPATH, so that the load test has the SDK and the packages that it was packed with.
    sys.path[0] = program
    site.addsitedir(program)
    sys.argv[0] = script
    try:
        runpy.run_path(script, run_name="__main__")
    except ImportError:
        version = "{}.{}".format(*sys.version_info)
        here = f"Python {version} on {sys.platform} {os.uname().machine}"
        if about["compiled_for"] in (None, here):
            raise
        traceback.print_exc()
        sys.exit(
            f"This load test was packed for {about['compiled_for']}, and this is {here}: pack it "
            f"again with --python {version}."
        )


def _check_version(oldest: "list[int]") -> None:
    if list(sys.version_info[:2]) < oldest:
        sys.exit(
            "This load test needs Python {}.{} or newer, and ".format(*oldest)
            + "{} is Python {}.{}: ".format(sys.executable, *sys.version_info)
            + "install a newer one on the agent, and pack it again with --python."
        )


def _remove(directory: str, process: int) -> None:
    """Remove the directory at the exit, but not at that of a forked child."""
    if os.getpid() == process:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
