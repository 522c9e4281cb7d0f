"""Pages of the collective domain: the owner's console and the author's algorithms."""
