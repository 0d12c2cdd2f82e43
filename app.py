"""Entry for Hugging Face Spaces and for `python app.py`.

Worker processes run this file again as `__mp_main__`, so nothing heavy may be imported above.
"""

if __name__ == "__main__":
    from slm_explorer.cli import main

    main(["serve"])
