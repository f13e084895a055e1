"""Table of contents: certificates by the name a study gives them. Imported lazily."""

METHODS = {
    "bilateral": "rs.methods.certificates.bilateral:Bilateral",
    "cohen": "rs.methods.certificates.cohen:Cohen",
    "cohen_linf": "rs.methods.certificates.cohen:CohenLinf",
    "dual": "rs.methods.certificates.dual:Dual",
    "dual_published": "rs.methods.certificates.dual_published:DualPublished",
    "group_sequential": "rs.methods.certificates.group_sequential:GroupSequential",
    "incremental": "rs.methods.certificates.incremental:Incremental",
    "laplace_l1": "rs.methods.certificates.laplace_l1:LaplaceL1",
    "neyman_pearson": "rs.methods.certificates.neyman_pearson:NeymanPearson",
    "pixeldp": "rs.methods.certificates.pixeldp:PixelDP",
    "pixeldp_soft": "rs.methods.certificates.pixeldp:PixelDPSoft",
    "renyi": "rs.methods.certificates.renyi:Renyi",
    "renyi_sound": "rs.methods.certificates.renyi:RenyiSound",
    "soft_bernstein": "rs.methods.certificates.soft:SoftBernstein",
    "soft_hoeffding": "rs.methods.certificates.soft:SoftHoeffding",
    "tcertify": "rs.methods.certificates.tcertify:TCertify",
    "tcertify_sound": "rs.methods.certificates.tcertify:TCertifySound",
}
