"""Uploads: multipart parsing, hashing and writing in a worker thread, with back-pressure."""
