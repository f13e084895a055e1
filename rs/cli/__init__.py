"""`rs`: the verbs on the command line."""
