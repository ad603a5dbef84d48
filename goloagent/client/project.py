"""A load test to start from: a copy of one of ``templates/``, which has a directory by language."""

from __future__ import annotations

from pathlib import Path

from goloagent.client.errors import ClientError, reason_of

TEMPLATES = Path(__file__).parent / "templates"
# The commands that make the `program` of golo.toml; scripts need none.
BUILD_COMMANDS = {
    "python": None,
    "go": "CGO_ENABLED=0 go build -o loadtest .",
    "node": None,
    "java": "sh build.sh",
    "rust": "cargo build --release",
    "shell": None,
}


def create(language: str, directory: Path) -> list[Path]:
    """Copy the template of `language` into `directory`, which is empty or missing.

    Returns the paths of the files, relative to the directory.

    Raises:
        ClientError: there is no such template, the directory has files, or cannot be written.
    """
    if language not in BUILD_COMMANDS:
        raise ClientError(
            f"there is no template for {language!r}: choose one of {', '.join(BUILD_COMMANDS)}"
        )
    template = TEMPLATES / language
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise ClientError(f"{directory} is not empty: choose a new directory")
        files = [path.relative_to(template) for path in _files(template)]
        for path in files:
            _copy(template / path, directory / path)
    except OSError as error:
        reason = reason_of(error)
        raise ClientError(
            f"cannot write to {directory}: {reason}; choose another directory"
        ) from None
    return files


def _files(template: Path) -> list[Path]:
    """Return all files but those that Python has compiled at the installation."""
    found = (path for path in template.rglob("*") if path.is_file())
    return sorted(path for path in found if path.parent.name != "__pycache__")


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(exist_ok=True)
    content = source.read_bytes()
    target.write_bytes(content)
    # Packages may not keep the mode of the source.
    if content.startswith(b"#!"):
        target.chmod(0o755)
