"""Small raw data to be served and fetched, and a transport that does not wait for long."""

import pytest

from maskspace.download.transport import Transport
from tests.data.conftest import raw

__all__ = ["raw", "transport"]


@pytest.fixture
def transport():
    with Transport(attempts=4, backoff=0.01, timeout=5.0, show=False) as made:
        yield made
