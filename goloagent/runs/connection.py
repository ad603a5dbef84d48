"""The RPC connection to a load test, verified to reach that load test and no other program."""

from __future__ import annotations

from twisted.internet.task import deferLater
from twisted.logger import Logger

from goloagent.core.host_fault import status_of
from goloagent.load.rpc_client import RpcClient
from goloagent.runs.dependencies import RunDependencies

RETRY_SECONDS = 0.5

_log = Logger()


class ForeignListener(Exception):
    """Another program listens on the RPC address."""


async def connect(deps: RunDependencies, rpc: RpcClient, job_id: str, pid: int) -> None:
    """Connect to the load test of process `pid`.

    If the host lacks the resources for the verification, it is repeated.

    Raises:
        ForeignListener: the remote socket belongs to another program.
    """
    await deps.connect(rpc)
    while True:
        try:
            if await deps.is_foreign_listener(job_id, pid, rpc.ends):
                raise ForeignListener
            return
        except Exception as error:
            if status_of(error) is None:
                raise
            _log.warn(
                "job {job}: the RPC connection is not verified yet: {error}",
                job=job_id,
                error=error,
            )
        await deferLater(deps.clock, RETRY_SECONDS)
