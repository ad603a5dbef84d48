"""``golo collect``: takes results by the protocol of collectors, and delivers them to outputs."""
