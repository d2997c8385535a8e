"""The stages of dvc.yaml, one short module each, and their launcher."""
