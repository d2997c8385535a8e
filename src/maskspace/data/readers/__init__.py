"""One dataset's files, or a generator, to samples: a file a kind, and what several kinds share."""
