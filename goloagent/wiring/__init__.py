"""Wiring: builds every object of the agent and connects it to the others.

`components` has the object graph, `site` the HTTP server, `loops` the periodic tasks. Only this
package and `goloagent.service` use the global reactor, and nothing here decides at run time.
"""
