"""Keys of evidence logs: an Ed25519 key in a file, and the trust file that an auditor keeps."""
