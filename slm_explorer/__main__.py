"""`python -m slm_explorer` is the same as `slm-explorer`."""

if __name__ == "__main__":
    from slm_explorer.cli import main

    main()
