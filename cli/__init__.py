"""The command ``slingshot``: one file for each verb, loaded when that verb is called.

An option bears the name of the library's argument that it gives, as in ``click.option("--input-format", "format")``, so
that the messages of the library can be translated: see ``cli/_messages.py``.
"""
