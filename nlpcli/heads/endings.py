"""What the names of a sentence's partners end in, where they are one row."""

BACK = "_back"
POSITIVE = "_positive"
NEGATIVE = "_negative"
ENDINGS = ("", BACK, POSITIVE, NEGATIVE)
