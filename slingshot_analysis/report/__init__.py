"""What people see of an analysis: text in the terminal, the JSON document, and figures."""
