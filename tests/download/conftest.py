"""The small raw data of every kind, to be served and fetched."""

from tests.data.conftest import raw

__all__ = ["raw"]
