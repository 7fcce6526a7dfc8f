"""What people read and type: the terminal, paragraphs, and words that mean the same.

Names and lines from outside are shown by `terminal`, which lets them command nothing. These modules are the ground of
the package: they import none of its other rooms.

Read `terminal` first. `grids` writes tables for a person, a page, a paper or a program. `synonyms`
is what an error asks before it says "did you mean".
"""
