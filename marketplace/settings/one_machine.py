"""What everything on one machine has in common, embedded or rehearsing production: a state folder, loopback, tokens without value."""

from __future__ import annotations

import os

import environ

from marketplace.settings.base import *

env = environ.Env()

VAR_DIR = Path(env.str("CSSI_VAR", default=str(BASE_DIR / "var"))).resolve()
VAR_DIR.mkdir(parents=True, exist_ok=True, mode=0o700)
LOG_DIR = VAR_DIR / "logs"
PORT = env.int("CSSI_PORT", default=8000)
SITE_URL = f"http://127.0.0.1:{PORT}"
DEVELOPMENT = True

# Letters go to files: what a supervised worker prints lands in its log, and no address may stand there.
# `CSSI_MAIL=console` prints them instead, for a command started by hand.
EMAIL_BACKEND = {
    "files": "django.core.mail.backends.filebased.EmailBackend",
    "console": "django.core.mail.backends.console.EmailBackend",
}[env.str("CSSI_MAIL", default="files")]
EMAIL_FILE_PATH = VAR_DIR / "mail"
DEFAULT_FROM_EMAIL = "Compute-to-SSI <no-reply@localhost>"
ACCOUNT_EMAIL_VERIFICATION = "optional"
# A passkey needs a name, not a number: on this machine it works at http://localhost.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = True

# On this machine all wallets share one address; on a site each has its own.
REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"] = {"agents": "60000/min", "people": "6000/min"}

# --- chain ------------------------------------------------------------------------------------------------
CHAIN_ID = 1337
CHAIN_PORT = env.int("CSSI_CHAIN_PORT", default=8545)
CHAIN_RPC_URL = env.str("CHAIN_RPC_URL", default=f"http://127.0.0.1:{CHAIN_PORT}")
CHAIN_CONFIRMATIONS = 1
CHAIN_DATA_DIR = VAR_DIR / "chain"
EPOCH_MIN_COLLECTIVES = 1
EPOCH_MIN_RECIPIENTS = 1
LOT = None
EPOCH_ON_JOB_END = True

NOTICE_MIN_SECONDS = env.int("CSSI_NOTICE_SECONDS", default=20)
DEVELOPMENT_MINIMA = env.bool("CSSI_DEVELOPMENT_MINIMA", default=False)
os.environ.setdefault("OMP_NUM_THREADS", "1")
