"""A service in an infrastructure on AWS whose data plane runs on this machine, asked as its users ask it: through its own ingress, whose
certificate is held against that data plane's own authority."""
import base64
import http.client
import socket
import ssl


class Service:
    """A service of this infrastructure, asked through its own ingress."""

    def __init__(self, system, service, password):
        self.system, self.id, self.password = system, service, password

    @classmethod
    def make(cls, system, ident, name="shop"):
        status, answer = system.api("POST", "/services", {
            "name": name, "provider": "aws", "region": "us-east-1", "byocId": ident, "minReplicaMemoryGb": 8,
            "maxReplicaMemoryGb": 8, "numReplicas": 1, "ipAccessList": [{"source": "0.0.0.0/0", "description": "all"}]})
        assert status == 200, answer
        return cls(system, answer["result"]["service"]["id"], answer["result"]["password"])

    def state(self):
        return self.system.api("GET", f"/services/{self.id}")[1]["result"]

    def connect(self):
        """To the ingress, its certificate held against this data plane's own authority; the certificate, too."""
        end = next(e for e in self.state()["endpoints"] if e["protocol"] == "https")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for authority in self.system.home.glob("accounts/prod/**/ca.pem"):  # this data plane's own
            context.load_verify_locations(authority)
        connection = http.client.HTTPSConnection(end["host"], end["port"], timeout=30)
        connection.sock = context.wrap_socket(socket.create_connection(("127.0.0.1", end["port"]), 30), server_hostname=end["host"])
        return connection, connection.sock.getpeercert()

    def certificate(self):
        """Its serial number; None while the ingress does not answer."""
        try:
            connection, seen = self.connect()
        except OSError:
            return None
        connection.close()
        return seen["serialNumber"]

    def engines(self):
        return [p for p, command in self.system.processes().items() if "/clickhouse-" in command and self.id in command]

    def select(self, sql):
        connection, _ = self.connect()
        secret = base64.b64encode(f"default:{self.password}".encode()).decode()
        connection.request("POST", "/", body=sql, headers={"Authorization": f"Basic {secret}"})
        answer = connection.getresponse()
        text = answer.read().decode().strip()
        connection.close()
        return text if answer.status == 200 else f"{answer.status}: {text}"

    def answers(self, sql, text):
        try:
            return self.select(sql) == text
        except OSError:
            return False
