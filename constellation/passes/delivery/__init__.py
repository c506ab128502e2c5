"""Streams on their way down: acknowledged transfer, weather, antennas, storage, and the account of it."""
