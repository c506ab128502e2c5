"""Every way of avoiding a second copy, over the same captures, each with its ledger."""
