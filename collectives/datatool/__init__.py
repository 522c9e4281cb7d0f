"""The data creation tool: one offline page made from a data requirement by a fixed, published template, and the file it saves.

The page needs no network and its policy forbids one. A collective supplies the requirement and nothing else: everything but that
one JSON block is the same bytes for everybody, so `page.template_hash` identifies it and `page.requirement_of` recognises it.
"""
