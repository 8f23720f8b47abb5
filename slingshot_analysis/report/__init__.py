"""What people see of an analysis: text for the terminal, the JSON document, figures."""
