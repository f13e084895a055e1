"""Table of contents: attacks by the name a study gives them. Imported lazily."""

METHODS = {
    "adre_pgd": "rs.attacks.adre_pgd:AdrePgd",
    "autoattack_l2": "rs.attacks.autoattack:AutoAttackL2",
    "autoattack_linf": "rs.attacks.autoattack:AutoAttackLinf",
    "carlini_wagner_l2": "rs.attacks.carlini_wagner_l2:CarliniWagnerL2",
    "ddn": "rs.attacks.ddn:Ddn",
    "lagrangian": "rs.attacks.lagrangian:Lagrangian",
    "pgd_l2": "rs.attacks.pgd_l2:PgdL2",
    "pgd_linf": "rs.attacks.pgd_linf:PgdLinf",
    "square_linf": "rs.attacks.square:SquareLinf",
    "transfer": "rs.attacks.transfer:Transfer",
}
