"""Table of contents: attacks by the name a study gives them. Imported lazily."""

METHODS = {
    "adre_pgd": "rs.methods.attacks.adre_pgd:AdrePgd",
    "autoattack_l2": "rs.methods.attacks.autoattack:AutoAttackL2",
    "autoattack_linf": "rs.methods.attacks.autoattack:AutoAttackLinf",
    "carlini_wagner_l2": "rs.methods.attacks.carlini_wagner_l2:CarliniWagnerL2",
    "ddn": "rs.methods.attacks.ddn:Ddn",
    "lagrangian": "rs.methods.attacks.lagrangian:Lagrangian",
    "pgd_l2": "rs.methods.attacks.pgd_l2:PgdL2",
    "pgd_linf": "rs.methods.attacks.pgd_linf:PgdLinf",
    "square_linf": "rs.methods.attacks.square:SquareLinf",
    "transfer": "rs.methods.attacks.transfer:Transfer",
}
