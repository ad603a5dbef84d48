"""The endpoint that changes the load of a running job."""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs
import msgspec

from goloagent.core.profile.parser import MAX_RATE, MAX_USERS
from goloagent.http.api.endpoint import Body, Response, endpoint
from goloagent.http.api.resources import JobResource, job_resource
from goloagent.http.problem import Problem, not_found, quoted
from goloagent.http.server.request import Request
from goloagent.jobs.database import Store
from goloagent.jobs.job import Job
from goloagent.outputs.status import JobDelivery
from goloagent.runs.steering import Change, ChangeRequest, ImpossibleChange, InvalidChange

_MEMBERS = ", ".join(ChangeRequest.__struct_fields__)
_UNKNOWN = re.compile("unknown field `(.*)`$", re.DOTALL)
_SENTENCES = {
    "users": f"users must be a number from 0 to {MAX_USERS}",
    "rate": f"rate must be a number from 0 to {MAX_RATE}",
    "paused": "paused must be true or false",
    "duration": "duration must be seconds, or a text such as 90s or 5m",
}


@attrs.frozen
class SteeringRoutes:
    """``PATCH /jobs/<id>``.

    Args:
        change: changes a job. Raises InvalidChange, or ImpossibleChange if its state forbids it.
        delivery: returns the delivery status of a job's results.
    """

    store: Store
    change: Callable[[Job, ChangeRequest], Change]
    delivery: Callable[[Job], JobDelivery]

    @endpoint(
        "PATCH",
        "/jobs/<job_id>",
        {200: Response("The job, which follows the change from now on.", JobResource)},
        body=Body(ChangeRequest, media_type="application/merge-patch+json"),
        errors={
            400: "The body is not a JSON object.",
            404: "There is no such job.",
            409: "The job is not running, or has been changed too often.",
            415: "The body is a form or text.",
            422: "A member is unknown, out of its bounds, or not one of this job's model.",
        },
    )
    def patch_job(self, request: Request, job_id: str) -> bytes:
        """Change the load of a running job; a decrease aborts no call."""
        media_type = (request.getHeader(b"Content-Type") or b"").partition(b";")[0].strip().lower()
        if not media_type.endswith(b"json"):
            raise Problem(415, "send the change as application/merge-patch+json")
        job = self.store.get(job_id)
        if job is None:
            raise not_found(request.path)
        try:
            change = self.change(job, _parse(request.buffered.getvalue()))
        except InvalidChange as error:
            raise Problem(422, str(error)) from None
        except ImpossibleChange as error:
            raise Problem(409, str(error)) from None
        request.audit("change", job=job.id, **msgspec.structs.asdict(change))
        return request.json_response(200, job_resource(job, self.delivery(job)))


def _parse(body: bytes) -> ChangeRequest:
    try:
        msgspec.json.decode(body, type=dict)
        return msgspec.json.decode(body, type=ChangeRequest)
    except msgspec.ValidationError as error:
        if unknown := _UNKNOWN.search(str(error)):
            raise InvalidChange(
                f"{quoted(unknown[1].encode())} is not known: use {_MEMBERS}"
            ) from None
        for name, sentence in _SENTENCES.items():
            if f"`$.{name}`" in str(error):
                raise InvalidChange(sentence) from None
        raise Problem(400, f"invalid JSON: {error}") from None
    except msgspec.DecodeError as error:
        raise Problem(400, f"invalid JSON: {error}") from None
