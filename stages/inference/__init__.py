"""How text is generated: a `Backend` takes requests and gives completions as they finish."""
