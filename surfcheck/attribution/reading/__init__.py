"""What a checkpoint makes of rows: token sequences, and passes over them that stop in time."""
