"""The sink that posts batches to a collector."""

from __future__ import annotations

import attrs

from goloagent.core.address import HttpUrl
from goloagent.core.output_setting import OutputSetting
from goloagent.outputs.batch import Batch
from goloagent.outputs.http import HttpPoster, make_poster
from goloagent.outputs.labels import RunLabels
from goloagent.outputs.registry import SinkContext
from goloagent.outputs.sink import BatchLimits, Response


@attrs.frozen
class CollectorSink:
    """The collector at `address`, to which `poster` posts."""

    address: HttpUrl
    poster: HttpPoster
    limits: BatchLimits = attrs.field(factory=BatchLimits)
    url: str = attrs.field(init=False)

    @url.default
    def _show(self) -> str:
        return str(self.address)

    async def send(self, run: RunLabels, batch: Batch, ordinal: int) -> Response:
        """Post the results as a JSON array under the run's name; a key identifies a repeat."""
        headers = {"Idempotency-Key": f"{run.job}/{batch.key}", **run.trace_headers}
        path = f"{self.address.path}/push/{run.name}"
        return await self.poster.post(path, batch.body(), "application/json", headers)

    async def check(self) -> str | None:
        """Connect and close, without a request; return None, or the reason for a failure."""
        return await self.poster.check()

    async def close(self) -> None:
        """Close the idle connections."""
        await self.poster.close()


def make(setting: OutputSetting, context: SinkContext) -> CollectorSink:
    """Return the sink of an output.

    Raises:
        SettingError: a file is unusable.
    """
    return CollectorSink(HttpUrl.parse(setting.url), make_poster(setting, context, gzip=False))
