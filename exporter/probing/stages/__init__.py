"""One module per stage of a probe.

Every stage has a pure function `evaluate`, which turns raw evidence into a finding, or into a failure with problems.
The evidence comes from one of three sources:

- `fetch`, where the stage sends its own requests (`dns`, `srv`);
- one method of the connection, which the prober calls (`tls`, `version`, `keys`);
- `run`, where the stage drives several requests and ends with the evaluation (`well_known`, `proxy`, `notary`).
"""
