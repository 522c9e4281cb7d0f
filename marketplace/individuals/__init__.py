"""What a person sees about their own wallet: pairing, offers, subscriptions. Links a person can delete; nothing else.

The market knows an account and a mailbox key; which pseudonym belongs to which account stands only in the person's own
SubscriptionLink. What a wallet holds and did is in the wallet.
"""
