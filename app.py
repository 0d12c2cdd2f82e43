"""Entry for Hugging Face Spaces and for `python app.py`."""

if __name__ == "__main__":
    from slm_explorer.cli import main

    main(["serve"])
