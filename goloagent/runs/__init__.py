"""Runs: the scheduler starts one job at a time, and a run takes it through its state machine.

`transitions` has the table, `timeouts` its times, and `outcome` the reasons for an end.
`recovery` handles runs that a previous process of the agent left.
"""
