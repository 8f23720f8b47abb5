"""Pieces of files that several readers share."""

import numpy as np
import pytest

from slingshot_analysis.crc32c import masked_checksums
from slingshot_analysis.readers._parts.protobuf import read_varint
from slingshot_analysis.readers._parts.text_file import HEAD, head_text


def test_checksums_of_many_pieces_are_masked_crc_32c():
    """The check values of CRC-32C for "123456789" and for 32 zeros (RFC 3720, B.4), masked as TFRecord files do."""
    data = np.frombuffer(b"123456789" + bytes(32), np.uint8)
    plain = [0x8A9136AA, 0xE3069283, 0]
    masked = [((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32 for crc in plain]
    assert masked_checksums(data, np.array([9, 0, 5]), np.array([32, 9, 0])).tolist() == masked


def test_an_encoded_integer_has_at_most_ten_bytes():
    assert read_varint(b"\xff" * 9 + b"\x01", 0) == (2**64 - 1, 10)
    with pytest.raises(ValueError, match="more than ten bytes"):
        read_varint(b"\x80" * 10 + b"\x01", 0)
    with pytest.raises(ValueError, match="is cut"):
        read_varint(b"\x80" * 9, 0)


@pytest.mark.parametrize(("size", "whole"), [(HEAD - 1, True), (HEAD, False), (HEAD + 1, False)])
def test_the_head_of_a_longer_file_ends_with_its_last_whole_line(size, whole):
    head = b"step,loss\r\n" + b"1" * (size - 11)
    assert head_text(head) == ("step,loss\n" + "1" * (size - 11) if whole else "step,loss\n")


@pytest.mark.parametrize("head", [b"<!DOCTYPE html>\n", b"\x1f\x8b broken", b"\x00\x01\x02"])
def test_what_is_no_text_has_no_head(head):
    assert head_text(head) == ""
