"""The HTTP API and the web page.

`server` accepts connections and requests, `auth` decides who may use the API, `upload` and
`streaming` handle long bodies, `api` has one module for each resource, and `ui` is the page.
"""
