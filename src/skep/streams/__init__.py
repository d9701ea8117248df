"""Event streams: the ring buffer as columns, and the ledger of what was lost."""
