"""Makes ``twistd golo-agent`` known to Twisted."""

from twisted.application.service import ServiceMaker

goloAgent = ServiceMaker(
    name="golo-agent",
    module="goloagent.options",
    description="Runs uploaded load tests and delivers their results.",
    tapname="golo-agent",
)
