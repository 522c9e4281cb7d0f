"""The issuer desk: where an employer, a school or a reviewer attests values for a person's wallet, and revokes them."""
