"""What an issuer says about a person: formats that every domain may read, and the desk where issuers work."""
