"""The embedded development chain: py-evm behind JSON-RPC, its state in SQLite. No other module knows it exists; they speak RPC."""
