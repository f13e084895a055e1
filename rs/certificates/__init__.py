"""Table of contents: certificates by the name a study gives them. Imported lazily."""

METHODS = {
    "bilateral": "rs.certificates.bilateral:Bilateral",
    "cohen": "rs.certificates.cohen:Cohen",
    "cohen_linf": "rs.certificates.cohen:CohenLinf",
    "dual": "rs.certificates.dual:Dual",
    "dual_published": "rs.certificates.dual_published:DualPublished",
    "laplace_l1": "rs.certificates.laplace_l1:LaplaceL1",
    "neyman_pearson": "rs.certificates.neyman_pearson:NeymanPearson",
    "pixeldp": "rs.certificates.pixeldp:PixelDP",
    "pixeldp_soft": "rs.certificates.pixeldp:PixelDPSoft",
    "renyi": "rs.certificates.renyi:Renyi",
    "renyi_sound": "rs.certificates.renyi:RenyiSound",
    "soft_bernstein": "rs.certificates.soft:SoftBernstein",
    "soft_hoeffding": "rs.certificates.soft:SoftHoeffding",
    "tcertify": "rs.certificates.tcertify:TCertify",
    "tcertify_sound": "rs.certificates.tcertify:TCertifySound",
}
