"""Acts that their caller confirms with a signature."""
