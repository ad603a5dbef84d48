"""Makes ``twistd golo-agent`` and ``twistd golo-collect`` known to Twisted."""

from twisted.application.service import ServiceMaker

goloAgent = ServiceMaker(
    name="golo-agent",
    module="goloagent.options",
    description="Runs uploaded load tests and delivers their results.",
    tapname="golo-agent",
)

goloCollect = ServiceMaker(
    name="golo-collect",
    module="goloagent.collect.options",
    description="Takes results by the protocol of collectors, and delivers them to outputs.",
    tapname="golo-collect",
)
