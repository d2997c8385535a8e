"""The raw sample data and how it is made."""
