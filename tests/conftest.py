"""Fixtures of all tests."""

import pytest

from tests.browser import launched


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium, one for all tests of pages; where there is none, they are skipped."""
    with launched() as found:
        yield found
