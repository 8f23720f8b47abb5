"""Candidate causes, one module each, found by being here: the function ``judge`` says what a log tells of the cause."""
