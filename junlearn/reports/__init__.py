"""What is read: tables on the terminal and in files, plots, and pages for somebody who was not there.

Reports read records, and what `experiment.revisit` has asked of networks: no network and no data. Only `plots`, a door
for Python, asks networks itself. So they import `experiment` for the form of both, and `metrics` for a score of several
runs. Only `audit` and the doors import them.

Read `table` first, the table on the terminal; `columns` says which metric is which column. `compared` shows methods
beside one another over many runs, by `comparison_columns`, `comparison_grids` and `comparison_notes`. The reports
of an audit (`audit_table`, `audit_plots`, `audit_page`) read rows of `audit.jsonl` and arrays per example;
`audit_cells`, `audit_columns` and `audit_notes` say what stands in them. `run_page` tells of a run to somebody who was
not there, `ledger_page` of a ledger, `signature` vouches for the file; `page` is what all pages share. `pictures` has a
file a picture, `style` is how all of them look. `README.md` has the rest.
"""
