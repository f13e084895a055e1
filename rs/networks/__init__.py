"""Trained networks and the images that they see."""
