"""What is read: tables on the terminal and in files, and plots.

Reports read records and nothing else: no network and no data. So they import `experiment` for the form of its records,
and `metrics` for a score of several runs. Only `audit` and the doors import them.

Read `table` first, the table on the terminal; `columns` says which metric is which column. The reports of an audit
(`audit_table`, `audit_plots`, `audit_page`) read rows of `audit.jsonl` and arrays per example; `audit_cells`,
`audit_columns` and `audit_notes` say what stands in them.
"""
