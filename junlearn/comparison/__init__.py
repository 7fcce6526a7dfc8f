"""Numbers of a comparison: what records have in common, means over them, who is best, and who is not told from it.

Read `gathering` first: which records there are, and what each was made with (`made_with`). `placing` puts them into
tables and rows, and refuses to mix what differs in anything that is not named. `scores` says what a number is worth,
`cells` takes means, `significance` tests against the best, `ranks` looks at several tables at once; `tabulate` puts it
together. Nothing here is shown: `reports.compared` does that. `README.md` has the formulas.
"""
