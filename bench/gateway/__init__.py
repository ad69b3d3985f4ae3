"""The model gateway beside the bare vendor and, where asked for, beside other gateways, in one run."""
