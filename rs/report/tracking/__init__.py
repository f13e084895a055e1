"""A study's results in MLflow: `rs.report.tracking.study` logs them and describes the layout."""
