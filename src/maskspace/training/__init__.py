"""Training: what is trained, the loop, its workers, the sweep."""
