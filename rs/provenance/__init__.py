"""Where a file comes from: digests, checksums, complete files with their provenance inside."""
