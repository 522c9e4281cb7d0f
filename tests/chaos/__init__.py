"""The chaos suite: a small site on the production profile, broken on purpose in every way we know, and its books after each.

`make chaos` runs all of it, prints a line per fault, writes docs/chaos.md and ends with one line of JSON. A whole run has not been made yet. `only` names
cases: `make chaos ARGS="--only clock"`. Nothing here is imported by the other tests.
"""
