"""The pipeline from Python: what `import rs` offers (docs/python.md). `rs/__init__.py` has the names."""
