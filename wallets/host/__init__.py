"""Runs many real agents in one process: the same code as one wallet, each with its own store, keys and sockets."""
