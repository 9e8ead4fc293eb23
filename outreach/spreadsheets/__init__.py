"""Office files as people send them: read safely, find the table, understand the cells."""
