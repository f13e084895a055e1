"""From a study file to checked runs. No torch."""
