"""Wire formats that every trust domain shares: a leaf that imports nothing of the project (ADR 2)."""
