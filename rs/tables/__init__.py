"""Tables of claims, derived from stored observations."""
