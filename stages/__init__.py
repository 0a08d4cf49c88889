"""The stages of the DeepSeek-R1 recipe: each file in this package is one `r1` command."""
