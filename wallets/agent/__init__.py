"""The wallet agent: a Django-free library and command line that keeps a person's data, keys and permits.

What leaves this package is listed in docs/protocol/interfaces.md; nothing else does.
"""
