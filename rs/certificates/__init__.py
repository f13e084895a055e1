"""Table of contents: certificates by the name a study gives them. Imported lazily."""

METHODS = {
    "cohen": "rs.certificates.cohen:Cohen",
}
