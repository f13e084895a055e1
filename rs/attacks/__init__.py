"""Table of contents: attacks by the name a study gives them. Imported lazily."""

METHODS = {
    "pgd_l2": "rs.attacks.pgd_l2:PgdL2",
}
