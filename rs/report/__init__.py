"""What people look at: page, figures, MLflow."""
