"""The command ``slingshot``: one file for each verb, loaded when that verb is called.

Each option has the name of the library's argument that it sets, as in ``click.option("--input-format", "format")``.
So the messages of the library can be translated: see ``cli/_messages.py``.
"""
