"""`python -m r1cli`: the program `r1`, also where a launcher such as torchrun wants a module."""

from r1cli.main import main

if __name__ == "__main__":
    main()
