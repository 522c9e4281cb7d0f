"""Money between consumers, jobs and individuals: escrow, epochs, payouts. Rows are the outbox; `chain.py` alone speaks to a chain."""
