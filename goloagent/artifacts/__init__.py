"""Uploaded load tests, stored once for each content: uploads, the quota, and eviction.

A run executes a verified copy of an artifact, never the stored file.
"""
