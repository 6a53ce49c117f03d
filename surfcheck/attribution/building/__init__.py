"""Training rows into an index: streamed, by one worker or any number, or by Ray."""
