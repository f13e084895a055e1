"""Claims from stored observations."""
