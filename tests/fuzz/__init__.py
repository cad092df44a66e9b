"""Coverage-guided fuzzing of all that reads an image: `make fuzz SECONDS=600`.

`targets` says what is called with which bytes, `bases` and `guests` where the first inputs come from, `worker` runs one
target under atheris, and the package's main module runs all of them in turn.
"""
