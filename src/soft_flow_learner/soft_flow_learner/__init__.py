"""Reads episode bags and trains the policy from them."""
