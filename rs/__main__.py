"""`python -m rs`."""

from rs.cli import main

raise SystemExit(main())
