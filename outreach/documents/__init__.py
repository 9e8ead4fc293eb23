"""What the federation publishes or files, written from the ledger."""
