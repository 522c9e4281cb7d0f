"""The verbs of the collective domain: every write, keyword-only, with the actor named and its transaction owned."""
