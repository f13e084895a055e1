"""`python -m rs`."""

import sys

try:
    from rs.cli.main import main
except KeyboardInterrupt:  # Ctrl-C while libraries load
    print("rs: interrupted", file=sys.stderr)
    raise SystemExit(130) from None

raise SystemExit(main())
