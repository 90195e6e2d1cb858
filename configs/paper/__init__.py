"""One config for every claim of the paper (arXiv 2406.05288); README.md says what came out."""
