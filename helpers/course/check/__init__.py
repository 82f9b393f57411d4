"""What `course test` runs and counts: contracts, controls, stages, report, flake ledger."""
