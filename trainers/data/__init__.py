"""Data sets, one family per file; each is a frozen value whose ``make`` draws it."""
