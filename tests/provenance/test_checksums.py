"""A checksum covers each byte of its file, wherever it stands in it."""

from __future__ import annotations

import hashlib

from rs.provenance.checksums import BLANK, broken, seal


def test_a_checksum_is_that_of_the_file_with_a_blank_in_its_place():
    content = b"before " + BLANK.encode() + b" after"
    digits = hashlib.sha256(content).hexdigest().encode()
    assert seal(content) == b"before rs-sha256:" + digits + b" after"


def test_a_bit_that_flips_anywhere_is_noticed():
    """Beside its own checksum the file quotes another's, as a table may."""
    quoted = b"rs-sha256:" + 64 * b"a"
    content = seal(b"before " + quoted + b" between " + BLANK.encode() + b" after")
    assert not broken(content)
    for place in range(len(content)):
        flipped = bytearray(content)
        flipped[place] ^= 1
        assert broken(bytes(flipped)), f"byte {place}"
