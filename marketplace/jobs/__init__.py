"""Orders of a data consumer: what to train, for how much; the job itself lives in the collective domain."""
