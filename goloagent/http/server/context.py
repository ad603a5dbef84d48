"""The parts of the agent that every request uses."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.defer import Deferred

from goloagent.artifacts.store import ArtifactStore
from goloagent.artifacts.upload_space import UploadSpace
from goloagent.core.job_spec import MAX_REQUEST_BYTES
from goloagent.http.auth.access import AccessPolicy
from goloagent.http.auth.audit import Audit

UPLOAD_PATH = b"/upload"


@attrs.frozen
class RequestContext:
    """The policy, the limits and the stores of one agent.

    Args:
        check_route: raises the Problem that a path has no such method, or does not exist.
        in_thread: runs a function off the reactor thread.
        max_request_bytes: of a body that is no upload.
        on_upload_bytes: called with the number of received bytes of uploads.
    """

    access: AccessPolicy
    check_route: Callable[[bytes, bytes], None]
    artifacts: ArtifactStore
    max_upload_bytes: int
    audit: Audit
    in_thread: Callable[..., Deferred[Any]]
    on_upload_bytes: Callable[[int], None] = lambda count: None
    max_request_bytes: int = MAX_REQUEST_BYTES
    upload_space: UploadSpace = attrs.field(factory=lambda: UploadSpace(lambda: sys.maxsize))
