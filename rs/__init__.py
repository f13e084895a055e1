"""Reproduction pipeline for randomized smoothing: observations are stored, claims are derived from them."""

__version__ = "0.1.0"
