"""One model family a file: `TITLE`, `Config` and `load(config, device) -> Policy`."""
