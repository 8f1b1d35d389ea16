# A mail server for the tests: aiosmtpd, as Debian packages it, set up to demand
# TLS and a user, and to keep what it takes in a Maildir.
#
#   server.py CERTIFICATE KEY MAILDIR starttls|implicit|plain
#
# It prints the port that it listens on, and ends with its standard input. Mail
# to busy@… is put off twice, mail to nobody@… is refused with the address in
# the words.
import asyncio
import email.message  # noqa: F401  (aiosmtpd.handlers needs it loaded)
import ssl
import sys

from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

certificate, key, maildir, mode = sys.argv[1:]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)


def authenticate(server, session, envelope, mechanism, data):
    ok = isinstance(data, LoginPassword) and (data.login, data.password) == (b"keyfob", b"sesame")
    return AuthResult(success=ok, handled=False)


class Kept(Mailbox):
    put_off = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return f"550 5.1.1 <{address}> is not known here"
        if address.startswith("busy@") and self.put_off < 2:
            self.put_off += 1
            return f"450 4.2.1 <{address}> come again"
        envelope.rcpt_tos.append(address)
        return "250 OK"


kept = Kept(maildir)


def smtp():
    if mode == "plain":
        return SMTP(kept, hostname="localhost")
    return SMTP(
        kept,
        hostname="localhost",
        authenticator=authenticate,
        auth_required=True,
        auth_require_tls=mode == "starttls",
        require_starttls=mode == "starttls",
        tls_context=context if mode == "starttls" else None,
    )


async def serve():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(smtp, "127.0.0.1", 0, ssl=context if mode == "implicit" else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(serve())
