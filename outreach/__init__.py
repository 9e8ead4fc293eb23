"""Outreach: which units are outstanding, why, and what to do next."""
