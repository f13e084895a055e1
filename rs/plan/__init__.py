"""From checked runs to jobs and paths. No torch."""
