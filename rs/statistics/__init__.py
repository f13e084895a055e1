"""Bounds, intervals, sequences, stopping, seeds, and the arrays of votes. No torch, no files."""
