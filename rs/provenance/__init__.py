"""What made a file: digests, checksums, whole files with their provenance inside."""
