"""Secure aggregation: the sans-IO protocol core.

Pairwise masking with a self mask (Bonawitz et al., CCS 2017) on complete or circulant graphs (Bell et al., CCS 2020),
with signed fresh round keys and escrowed mask seeds. `docs/protocol/secagg.md` has the formats, the phase tables and the
security argument. Read from the top: client and server, phases, graph, shamir, masking and vectors, messages, errors.
"""
