"""Service rules: what Services promise (`model`), as nftables (`render`), in the kernel (`apply`), kept so (`sync`)."""
