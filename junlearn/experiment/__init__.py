"""What is kept: experiments from a configuration to their records.

Everything that the command line needs between its arguments and a table lies here: the schema, the cache, records,
sweeps. It imports all rooms below it, the methods and the engine too; only `reports` and the doors import it.

Read in the order in which an experiment runs: `schema`, `setup`, `identity`, `execute`, `evaluate`, `records`; then
`sweep`.
"""
