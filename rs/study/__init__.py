"""Turns a study file into checked runs. No torch."""
