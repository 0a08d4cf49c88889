"""What every stage shares without torch: records, streams of them, templates, checkpoints, errors."""
