"""`python -m robustbench_zs.cli`."""

from robustbench_zs.cli.main import main

if __name__ == "__main__":
    main()
