"""Pieces of files that several readers share."""

import numpy as np
import pytest

from slingshot_analysis.readers._parts.text_file import HEAD, head_text
from slingshot_analysis.readers._parts.tfrecord import _checksums


def test_checksums_of_many_pieces_are_masked_crc_32c():
    """The check values of CRC-32C for "123456789" and for 32 zeros (RFC 3720, B.4), masked as TFRecord files do."""
    data = np.frombuffer(b"123456789" + bytes(32), np.uint8)
    plain = [0x8A9136AA, 0xE3069283, 0]
    masked = [((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32 for crc in plain]
    assert _checksums(data, np.array([9, 0, 5]), np.array([32, 9, 0])).tolist() == masked


@pytest.mark.parametrize(("size", "whole"), [(HEAD - 1, True), (HEAD, False), (HEAD + 1, False)])
def test_the_head_of_a_longer_file_ends_with_its_last_whole_line(size, whole):
    head = b"step,loss\r\n" + b"1" * (size - 11)
    assert head_text(head) == ("step,loss\n" + "1" * (size - 11) if whole else "step,loss\n")


@pytest.mark.parametrize("head", [b"<!DOCTYPE html>\n", b"\x1f\x8b broken", b"\x00\x01\x02"])
def test_what_is_no_text_has_no_head(head):
    assert head_text(head) == ""
