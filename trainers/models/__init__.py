"""Networks, one family per file; each is a frozen value whose ``build`` makes the module."""
