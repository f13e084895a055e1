"""Turns checked runs into jobs and paths. No torch."""
