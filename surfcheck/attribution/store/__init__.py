"""An index where it lies, on a disk or at an fsspec URL: its files, who writes which, and care."""
