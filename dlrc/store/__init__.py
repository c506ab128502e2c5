"""Runs as values and as folders: records in, a `Run` out, whole or not at all."""
