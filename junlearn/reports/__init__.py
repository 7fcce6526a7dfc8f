"""What is read: tables on the terminal and in files, and plots.

Reports read records and nothing else: no network and no data. So they import `experiment` for the form of its records,
and `metrics` for a score of several runs. Only the doors import them.

Read `table` first, the table on the terminal; `columns` says which metric is which column.
"""
