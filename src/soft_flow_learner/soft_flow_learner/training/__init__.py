"""The stages of SOFT-FLOW: what each trains on, and the loop that runs them."""
