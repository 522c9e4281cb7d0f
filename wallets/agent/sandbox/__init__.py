"""Where an algorithm runs: a separate process with nothing to read, nobody to talk to and a limit on everything."""
