"""The pictures of runs and sweeps, a small file each: a function of records, or of what networks say, returns a figure.

From records alone: `gaps`, `trade_off`, `time_quality`, `curves`, `relearn_curves`, `over_requests`. From what networks
say of examples (`junlearn.experiment.asking`): `class_accuracy`, `confusion`, `embedding` (with `one_plane`),
`confidences`. From a grid: `share_curves`, and `of_grid` for all of a sweep. `method_runs` puts the runs of one method
together, `panels` lays many networks out. `draw` makes the files of `--plot`, the page of `junlearn.reports.run_page`
shows the same figures one network at a time, and `junlearn.reports.plots` is the door for Python.
"""
