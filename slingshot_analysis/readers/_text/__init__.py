"""How lines of text become columns: sources, tokens, templates, tables, positions and names."""
