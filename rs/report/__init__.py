"""Presentation of results: page, figures, MLflow."""
