"""A study's results in MLflow: `rs.report.tracking.study` logs it, and its docstring says what is where."""
