"""nlpcli: train, evaluate and run Chinese NLP tasks from one command line."""

__version__ = "0.2.0"
