"""The `r1` program: options, streams, exit codes and progress around the stages."""
