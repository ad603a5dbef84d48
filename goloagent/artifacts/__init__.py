"""Uploaded load tests, each content stored once: uploads, the quota, and eviction.

A run executes a verified copy of an artifact, never the stored file.
"""
