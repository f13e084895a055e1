"""The pipeline from Python: what `import rs` offers (docs/python.md). The names are those of
`rs/__init__.py`.
"""
