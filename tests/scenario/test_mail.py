"""Invitations by mail: a real SMTP server with STARTTLS and a password, and what happens when it is not there."""
import email
import email.policy
import re
import socket
import ssl
import threading
import uuid

import pytest

from full_system import free_ports
from identity_parts import PASSWORD, Browser, ControlPlane, certificate

aiosmtpd = pytest.importorskip("aiosmtpd.controller", reason="skipped: aiosmtpd not available")
from aiosmtpd.smtp import AuthResult  # noqa: E402

SECRET = "mail-password-canary"


class Mailbox:
    def __init__(self):
        self.mails, self.secure, self.refuse = [], [], False

    async def handle_DATA(self, server, session, envelope):
        if self.refuse:
            return "554 no thanks"
        self.secure.append(session.ssl is not None and session.authenticated)
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 OK"


def login(server, session, envelope, mechanism, data):
    return AuthResult(success=data.login == b"cloud" and data.password == SECRET.encode())


@pytest.fixture
def mailbox(tmp_path):
    box = Mailbox()
    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    box.port, box.ca = free_ports(1), cert
    controller = aiosmtpd.Controller(box, hostname="127.0.0.1", port=box.port, tls_context=context, require_starttls=True,
                                     auth_required=True, authenticator=login)
    controller.start()
    yield box
    controller.stop()


@pytest.fixture
def control(mailbox, tmp_path):
    password = tmp_path / "smtp-password"
    password.write_text(SECRET + "\n")
    password.chmod(0o600)
    one = ControlPlane(smtp_url=f"smtp://localhost:{mailbox.port}", smtp_user="cloud", smtp_password_file=password,
                       smtp_from="cloud@example.org", smtp_ca_file=mailbox.ca)
    one.password_file = password
    yield one
    one.close()


def invite(control):
    address = f"{uuid.uuid4().hex[:8]}@example.org"
    return address, control.key("POST", "/invitations", {"email": address, "role": "developer"})


def test_an_invitation_goes_by_mail(control, mailbox):
    control.key("PATCH", "", {"name": "Käse & Söhne"})
    address, made = invite(control)
    assert made["ownhouse"] == {"notice": f"The link was sent to {address}."}
    (sender, to, content), = mailbox.mails
    assert mailbox.secure == [True] and sender == "cloud@example.org" and to == [address]
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert message["Subject"] == "Invitation to Käse & Söhne" and message["To"] == address and message["Date"]
    body = message.get_content()
    link = re.search(rf"https://localhost:{control.port}/invitation#(\w{{43}})\b", body)
    assert "Käse & Söhne" in body and "seven days" in body
    one = Browser(control)
    assert one.post("/v1/invitation/accept", token=link[1], name="Guest", password=PASSWORD).status == 200
    for file in control.folder.rglob("*"):  # the token only as a hash, the password nowhere
        data = file.read_bytes() if file.is_file() else b""
        assert link[1].encode() not in data and SECRET.encode() not in data, file


@pytest.mark.parametrize("fault", ["wrong password", "readable by all", "refused", "down", "unknown authority"])
def test_without_mail_the_inviter_gets_the_link(control, mailbox, fault, tmp_path):
    if fault == "wrong password":
        control.password_file.write_text("other")
    elif fault == "readable by all":
        control.password_file.chmod(0o644)
    elif fault == "refused":
        mailbox.refuse = True
    else:
        other = {"down": {"smtp_url": f"smtp://localhost:{free_ports(1)}"},
                 "unknown authority": {"smtp_ca_file": certificate(tmp_path, "other")[0]}}[fault]
        control.configure(**other)
        control.restart()
    address, made = invite(control)
    assert made["ownhouse"]["notice"].startswith("No e-mail was sent (") and SECRET not in made["ownhouse"]["notice"]
    token = made["ownhouse"]["link"].split("#")[1]
    assert mailbox.mails == [] and Browser(control).post("/v1/invitation", token=token).result["email"] == address


def test_in_clear_only_to_this_machine(control, mailbox):
    """A server without STARTTLS gets neither password nor mail where a certificate was asked for."""
    heard = []
    plain = socket.create_server(("127.0.0.1", 0))

    def serve():
        connection, _ = plain.accept()
        with connection:
            connection.sendall(b"220 plain\r\n")
            while data := connection.recv(4096):
                heard.append(data)
                connection.sendall(b"250 plain\r\n" if data[:4] != b"QUIT" else b"221 bye\r\n")
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    control.configure(smtp_url=f"smtp://localhost:{plain.getsockname()[1]}")
    control.restart()
    _, made = invite(control)
    assert made["ownhouse"]["notice"].startswith("No e-mail was sent") and "link" in made["ownhouse"]
    assert b"AUTH" not in b"".join(heard) and b"MAIL FROM" not in b"".join(heard)
    plain.close()
