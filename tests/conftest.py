"""Fixtures of all tests."""

import pytest
from hypothesis import settings

from tests.browser import launched

settings.register_profile("dlrc", deadline=None)  # a busy machine is no failure
settings.load_profile("dlrc")


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium, one for the tests of a file (its loop must not outlive them); skipped where there is
    none."""
    with launched() as found:
        yield found
