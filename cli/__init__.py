"""The command ``slingshot``: one thin file per verb, loaded when it is called."""
